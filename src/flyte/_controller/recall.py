"""The records that calls may meet again: of an earlier attempt of their parent, and of a run that is resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from flyte._engine.replay import Reuse, TryAgain, on_recorded
from flyte._store.records import ActionRecord
from flyte.models import ActionPhase

OnDivergence = Literal["warn", "error"]


class Recall:
    """Records by action name.

    Args:
        records: Of a run that is resumed; none for a fresh one.
        on_divergence: What follows when a task turns out to make other calls than it made before.
        recoverable: Records of another run, whose outcomes this one takes over; by action name.

    Attributes:
        is_resumed: The run had a process before.
    """

    def __init__(
        self,
        records: Iterable[ActionRecord] = (),
        on_divergence: OnDivergence = "warn",
        recoverable: Mapping[str, ActionRecord] | None = None,
    ) -> None:
        self.on_divergence = on_divergence
        self.recoverable = recoverable or {}
        self._records = {record.name: record for record in records}
        self.is_resumed = bool(self._records)
        self._unclaimed: dict[int, set[str]] = {}
        for record in self._records.values():
            if record.parent_id is not None:
                self._unclaimed.setdefault(record.parent_id, set()).add(record.name)

    @property
    def has_records(self) -> bool:
        """Whether the first attempt of the root may meet any."""
        return self.is_resumed or bool(self.recoverable)

    @property
    def last_sequence_no(self) -> int:
        """The highest sequence number that is taken; 0 in a fresh run."""
        return max((record.sequence_no for record in self._records.values()), default=0)

    def keep(self, record: ActionRecord) -> None:
        """A later call of that name will meet `record`."""
        self._records[record.name] = record

    def meet(self, name: str) -> tuple[ActionRecord, Reuse | TryAgain] | None:
        """The record of that name and what follows from it; None for a call that was never made before."""
        record = self._records.get(name)
        if record is None:
            return None
        if record.parent_id is not None:
            self._unclaimed.get(record.parent_id, set()).discard(name)
        return record, on_recorded(ActionPhase.from_protobuf(record.phase), record.attempt_no)

    def unclaimed(self, parent: ActionRecord) -> list[ActionRecord]:
        """The recorded children that `parent` has not called again, in the order they were made."""
        names = self._unclaimed.get(parent.action_id, set())
        return sorted((self._records[name] for name in names), key=lambda record: record.action_id)
