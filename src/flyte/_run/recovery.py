"""Taking over, in a new run, what succeeded in an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from flyte._engine.recovery import SourceAction, recoverable
from flyte._store.reader import StoreReader
from flyte._store.records import ActionRecord, StoredRun
from flyte.errors import RunNotFoundError, RuntimeUserError
from flyte.models import ActionPhase


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a run takes over, as it is kept in the run's settings.

    Attributes:
        run_name: The earlier run.
        forced: Names of its actions that run again although they succeeded.
        allow_missing_outputs: Actions whose recorded outputs are gone run again too, instead of being an error.
    """

    run_name: str
    forced: tuple[str, ...] = ()
    allow_missing_outputs: bool = False

    def settings(self) -> dict[str, Any]:
        """As JSON."""
        return {"run": self.run_name, "forced": list(self.forced), "allow_missing": self.allow_missing_outputs}

    @classmethod
    def of(cls, run: StoredRun) -> Recovery | None:
        """What a recorded run takes over."""
        kept = run.settings.get("recovery")
        return None if kept is None else cls(kept["run"], tuple(kept["forced"]), kept["allow_missing"])


def load_recoverable(home: Path, recovery: Recovery, code_versions: Mapping[str, str]) -> dict[str, ActionRecord]:
    """The records whose outcomes the new run hands out, by action name.

    Args:
        home: Of the store.
        recovery: What is wanted.
        code_versions: Of the tasks as they are now, by name. A task that changed, or is not there, runs again.

    Raises:
        RunNotFoundError: the earlier run is gone.
        RuntimeUserError: code `UnknownAction`, an action that is forced is not there; code `OutputsMissing`, files
            with outputs are gone.
    """
    with StoreReader(home) as reader:
        run = reader.load_run(recovery.run_name)
        records = reader.load_records(run)
        before = reader.code_versions(run)
    _check_forced(recovery, records)
    changed = {name for name, version in before.items() if code_versions.get(name) != version}
    lost = {record.name for record in records if record.outputs_file and not (home / record.outputs_file).exists()}
    by_id = {record.action_id: record for record in records}
    names = recoverable(
        [
            SourceAction(
                record.name,
                by_id[record.parent_id].name if record.parent_id in by_id else None,
                record.task_name,
                ActionPhase.from_protobuf(record.phase),
            )
            for record in records
        ],
        {*recovery.forced, *(lost if recovery.allow_missing_outputs else ())},
        changed,
    )
    if missing := sorted(lost & names):
        raise RuntimeUserError(
            "OutputsMissing",
            f"run {recovery.run_name!r} cannot be recovered as it is: the files with the outputs of {_some(missing)} "
            "are gone. `--allow-missing-outputs` (`allow_missing_source_outputs=True`) runs those again.",
        )
    return {record.name: record for record in records if record.name in names}


def load_recoverable_if_there(
    home: Path, recovery: Recovery | None, code_versions: Mapping[str, str]
) -> dict[str, ActionRecord]:
    """The same for a run that is resumed: when the earlier run was deleted since, there is nothing more to take."""
    if recovery is None:
        return {}
    try:
        return load_recoverable(home, recovery, code_versions)
    except RunNotFoundError:
        return {}


def _check_forced(recovery: Recovery, records: Sequence[ActionRecord]) -> None:
    known = [record.name for record in records]
    for name in recovery.forced:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"`flyte get action {recovery.run_name}` lists them."
            raise RuntimeUserError("UnknownAction", f"run {recovery.run_name!r} has no action {name!r}. {hint}")


def _some(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
