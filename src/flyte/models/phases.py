"""Where an action is in its life."""

from __future__ import annotations

from enum import Enum


class ActionPhase(str, Enum):  # noqa: UP042 - unlike a StrEnum, it prints as ActionPhase.QUEUED
    """The phase of an action; equal to its lower-case name."""

    QUEUED = "queued"
    WAITING_FOR_RESOURCES = "waiting_for_resources"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    RECOVERED = "recovered"

    # What is equal must hash alike: a phase finds what a dict holds under its text. It also is much faster than Enum's.
    __hash__ = str.__hash__

    @property
    def is_terminal(self) -> bool:
        """True when the action will never leave this phase."""
        return self in _TERMINAL

    def to_protobuf_name(self) -> str:
        """Name of the value in the protobuf enum `flyteidl2.common.ActionPhase`."""
        return f"ACTION_PHASE_{self.name}"

    def to_protobuf_value(self) -> int:
        """Number of the value in the protobuf enum `flyteidl2.common.ActionPhase`."""
        return _NUMBERS[self]

    @classmethod
    def from_protobuf(cls, pb_phase: int) -> ActionPhase:
        """The phase of a protobuf number.

        Raises:
            ValueError: the number is 0, which stands for unspecified, or unknown.
        """
        phase = _BY_NUMBER.get(pb_phase)
        if phase is None:
            meaning = "is the unspecified phase" if pb_phase == 0 else "is no action phase"
            raise ValueError(f"{pb_phase} {meaning}; known are {', '.join(f'{n} {p.value}' for n, p in _TABLE)}")
        return phase


_TABLE = (
    (1, ActionPhase.QUEUED),
    (2, ActionPhase.WAITING_FOR_RESOURCES),
    (3, ActionPhase.INITIALIZING),
    (4, ActionPhase.RUNNING),
    (5, ActionPhase.SUCCEEDED),
    (6, ActionPhase.FAILED),
    (7, ActionPhase.ABORTED),
    (8, ActionPhase.TIMED_OUT),
    (9, ActionPhase.PAUSED),
    (10, ActionPhase.RECOVERED),
)
_BY_NUMBER = dict(_TABLE)
_NUMBERS = {phase: number for number, phase in _TABLE}
_TERMINAL = frozenset(
    {
        ActionPhase.SUCCEEDED,
        ActionPhase.FAILED,
        ActionPhase.ABORTED,
        ActionPhase.TIMED_OUT,
        ActionPhase.RECOVERED,
    }
)
