"""`flyte signal`: answering what a run waits for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import rich_click as click

from flyte.cli._commands import Command, Group
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat, current_invocation
from flyte.cli._options import place_options
from flyte.cli._terminal import is_terminal

if TYPE_CHECKING:
    from flyte._store.conditions import StoredCondition
    from flyte._store.records import StoredRun


@click.group(cls=Group)
def signal() -> None:
    """Answer what a run of this machine, or of a control plane that is configured, waits for."""


# A negative number is a value, not an option.
@signal.command(cls=Command, name="condition", context_settings={"ignore_unknown_options": True})
@click.argument("run_name", metavar="RUN")
@click.argument("action_name", metavar="ACTION")
@click.argument("text", metavar="[VALUE]", required=False)
@place_options
def signal_condition(run_name: str, action_name: str, text: str | None) -> None:
    """Answer a condition of a run; without VALUE, a terminal is asked for it.

    `flyte get condition RUN` lists them, with the type of the answer.
    """
    from flyte.cli._recorded import open_recorded

    with open_recorded(run_name) as (store, run):
        condition = store.load_condition(run, action_name)
    _refuse_closed(run, condition)
    _answer(run, condition, _typed(condition) if text is None else text, current_invocation().output)


def _answer(run: StoredRun, condition: StoredCondition, text: str, output: OutputFormat) -> None:
    import json

    from flyte._engine.answers import parse_answer
    from flyte.cli._documents import print_document
    from flyte.cli._plane import is_configured

    try:
        answer = parse_answer(condition.data_type, text)
    except ValueError as error:
        raise CommandError(f"condition {condition.action_name} asks {condition.prompt!r}: {error}.") from None
    tell = _tell_plane if is_configured() else _tell_store
    if not tell(run, condition, answer):
        raise CommandError(f"condition {condition.action_name} of run {run.name} was closed a moment ago.")
    if output.is_document:
        print_document({"run": run.name, "action": condition.action_name, "answer": answer}, output)
        return
    goes_on = f" The run is interrupted: `flyte resume {run.name}` goes on with it." if run.is_interrupted else ""
    print(f"Condition {condition.action_name} of run {run.name} is answered: {json.dumps(answer)}.{goes_on}")


def _tell_store(run: StoredRun, condition: StoredCondition, answer: Any) -> bool:
    """The answer is recorded; False where the condition is closed."""
    import json

    from flyte._store.conditions import answer_condition
    from flyte._store.writer import Writer
    from flyte.config import home

    writer = Writer(home())
    try:
        return bool(writer.write(answer_condition(condition.action_id, json.dumps(answer))))
    finally:
        writer.close()


def _tell_plane(run: StoredRun, condition: StoredCondition, answer: Any) -> bool:
    """The control plane has the answer; False where the condition is closed."""
    from flyte._rpc.failures import FAILED_PRECONDITION
    from flyte.errors import UnionRpcError
    from flyte.remote import Condition

    asked = Condition.get(condition.action_name, run_name=run.name)
    if asked is None:
        return False
    try:
        asked.signal(answer)
    except UnionRpcError as error:
        if error.code != FAILED_PRECONDITION:
            raise
        return False
    return True


def _refuse_closed(run: StoredRun, condition: StoredCondition) -> None:
    from flyte.cli._condition_views import is_expired, status

    if not condition.is_open or is_expired(condition):
        raise CommandError(
            f"condition {condition.action_name} of run {run.name} is not open: it is {status(run, condition)}."
        )


def _typed(condition: StoredCondition) -> str:
    from flyte._engine.answers import EXPECTED

    expected = EXPECTED[condition.data_type]
    if not is_terminal(sys.stdin):
        raise click.UsageError(f"the answer to {condition.prompt!r} is missing: give {expected} after the action.")
    typed: str = click.prompt(f"{condition.prompt} ({expected})", err=True)
    return typed
