"""Numbers of another module."""

UNIT = 0.25
