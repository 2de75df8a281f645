"""Durations on the wire."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration


def duration_of(duration: timedelta | int | None) -> Duration | None:
    """The message for a duration, or for seconds; None stays None."""
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration if isinstance(duration, timedelta) else timedelta(seconds=duration))
    return message


def limit_of(bound: timedelta | int | None) -> Duration | None:
    """The message for a time limit: 0 is no limit, and so is absent."""
    return duration_of(bound) if bound else None
