"""How a run went: a few lines for a person, one document for a program."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyte.cli._documents import print_document
from flyte.cli._invocation import Invocation
from flyte.cli._moments import show_count, show_duration
from flyte.cli._progress_text import Counts
from flyte.cli._terminal import is_terminal, paint

if TYPE_CHECKING:
    from flyte._run import LocalRun
    from flyte._store.records import StoredAction
    from flyte.errors import BaseRuntimeError

_SHOWN_CHARACTERS = 400
"""An output longer than this is cut in the lines for people."""


_FAILURES_READ = 10_000
"""How many failed actions are looked at to find the one that the run's error came from."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What every report says.

    Attributes:
        run_name: Empty for a run that never began.
    """

    task_name: str
    run_name: str
    elapsed_s: float
    actions: Counts

    def document(self, phase: str, **more: Any) -> dict[str, Any]:
        """The run as programs read it; the same fields whatever the phase."""
        return {
            "name": self.run_name or None,
            "task": self.task_name,
            "phase": phase,
            "url": run_url(self.run_name) if self.run_name else None,
            "elapsed_s": round(self.elapsed_s, 3),
            "actions": {
                "succeeded": self.actions.succeeded,
                "failed": self.actions.failed,
                "aborted": self.actions.aborted,
            },
            "cache": {"hit": self.actions.hits, "miss": self.actions.misses},
            "outputs": more.get("outputs"),
            "error": more.get("error"),
        }


def run_url(run_name: str) -> str:
    """The folder of a run's files."""
    from flyte._controller.local_run import run_folder
    from flyte.config import home

    return str(run_folder(home(), run_name))


def report_succeeded(invocation: Invocation, outcome: Outcome, run: LocalRun) -> None:
    """The outputs, on stdout."""
    if invocation.output.is_document:
        from flyte.cli._literals import value_of

        outputs = {name: value_of(literal) for name, literal in run.output_literals().items()}
        print_document(outcome.document("succeeded", outputs=outputs), invocation.output)
        return
    lines = _output_lines(run)
    actions = show_count(outcome.actions.total, "action")
    if outcome.actions.hits:
        actions += f" ({outcome.actions.hits:,} from the cache)"
    head = f"Run {outcome.run_name} succeeded in {show_duration(outcome.elapsed_s)}, {actions}"
    if is_terminal(sys.stdout):
        print(paint(f"✓ {head}", sys.stdout, fg="green"), *(f"  {line}" for line in lines), sep="\n")
        print(paint(f"  {run.url}", sys.stdout, dim=True))
    else:
        print(f"{head}: {', '.join(lines)}" if lines else head)


def _output_lines(run: LocalRun) -> list[str]:
    lines = []
    for name in run.output_literals():
        text = " ".join(repr(run.outputs().named_outputs[name]).split())
        if len(text) > _SHOWN_CHARACTERS:
            text = f"{text[:_SHOWN_CHARACTERS]}… (`flyte get io {run.name}` shows all)"
        lines.append(f"{name} = {text}")
    return lines


def report_failed(invocation: Invocation, outcome: Outcome, error: BaseRuntimeError) -> None:
    """The error on stderr: what, where, and the traceback of the task that raised it; in a document on stdout too."""
    phase, origin, is_isolated = _origin(outcome.run_name)
    traceback = error.remote_traceback
    if invocation.output.is_document:
        details = {
            "code": error.code,
            "message": str(error),
            "kind": error.kind,
            "task": origin.task_name if origin else outcome.task_name,
            "action": origin.name if origin else None,
            "attempt": origin.attempt_no if origin else None,
            "traceback": traceback,
        }
        print_document(outcome.document(phase, error=details), invocation.output)
    head = f"Run {outcome.run_name} {phase.replace('_', ' ')} after {show_duration(outcome.elapsed_s)}"
    lines = [paint(f"✗ {head}: {error.code}: {error}", sys.stderr, fg="red", bold=True)]
    if origin:
        attempt = f", attempt {origin.attempt_no}" if origin.attempt_no > 1 else ""
        lines.append(f"  in task {origin.task_name}, action {origin.name}{attempt}")
    if traceback:
        lines += ["", traceback.rstrip()]
    lines.append("")
    if error.code == ModuleNotFoundError.__name__ and not is_isolated:
        lines.append("A package of the task's image? `flyte run --isolated` runs each task in its image.")
    lines.append(f"Look further: flyte get action {outcome.run_name}")
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def _origin(run_name: str) -> tuple[str, StoredAction | None, bool]:
    """The run's phase, the action that the error of its root came from, and whether the run is isolated."""
    from flyte._store.reader import StoreReader
    from flyte.config import home
    from flyte.errors import BaseRuntimeError
    from flyte.models import ActionPhase

    try:
        with StoreReader(home()) as reader:
            run = reader.load_run(run_name)
            failed = reader.list_actions(run, [ActionPhase.FAILED, ActionPhase.TIMED_OUT], limit=_FAILURES_READ)
    except BaseRuntimeError:
        # The store itself may be what failed; the error that is reported says so.
        return "failed", None, False
    return run.status, _deepest(failed), bool(run.settings.get("isolated"))


def _deepest(failed: list[StoredAction]) -> StoredAction | None:
    """Down from the root, as long as a child failed with the very same error; the last one, as others were caught."""
    origin = failed[0] if failed and failed[0].parent_name is None else None
    by_parent: dict[str | None, list[StoredAction]] = {}
    for action in failed:
        by_parent.setdefault(action.parent_name, []).append(action)
    while origin is not None:
        same = [child for child in by_parent.get(origin.name, ()) if child.error == origin.error and child.ended_at]
        if not same:
            break
        origin = max(same, key=lambda child: child.ended_at)  # type: ignore[arg-type,return-value]
    return origin


def report_aborted(invocation: Invocation, outcome: Outcome, why: str = "") -> None:
    """That the run is over, on stderr; `why` where another process has ended it."""
    if invocation.output.is_document:
        print_document(outcome.document("aborted"), invocation.output)
    if not outcome.run_name:
        text = "Aborted before the run began."
    else:
        text = (
            f"Run {outcome.run_name} aborted after {show_duration(outcome.elapsed_s)}{f': {why}' if why else ''}. "
            f"How far it came: flyte get action {outcome.run_name}"
        )
    print(paint(text, sys.stderr, fg="yellow"), file=sys.stderr, flush=True)
