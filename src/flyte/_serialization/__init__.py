"""A task as the control plane knows it: the `flyteidl2` messages."""
