"""`flyte signal`: answering what a run waits for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich_click as click

from flyte.cli._commands import Command, Group, refused
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat, current_invocation
from flyte.cli._terminal import is_terminal

if TYPE_CHECKING:
    from flyte._store.conditions import StoredCondition
    from flyte._store.records import StoredRun

_NO_SCOPE = "has no meaning here: the runs of this machine are one list."


@click.group(cls=Group)
def signal() -> None:
    """Answer what a run of this machine waits for."""


# A negative number is a value, not an option.
@signal.command(cls=Command, name="condition", context_settings={"ignore_unknown_options": True})
@click.argument("run_name", metavar="RUN")
@click.argument("action_name", metavar="ACTION")
@click.argument("text", metavar="[VALUE]", required=False)
@refused("--project", "-p", why=_NO_SCOPE)
@refused("--domain", "-d", why=_NO_SCOPE)
def signal_condition(run_name: str, action_name: str, text: str | None) -> None:
    """Answer a condition of a run; without VALUE, a terminal is asked for it.

    `flyte get condition RUN` lists them, with the type of the answer.
    """
    from flyte.cli._recorded import open_run

    with open_run(run_name) as (store, run):
        condition = store.load_condition(run, action_name)
    _refuse_closed(run, condition)
    _answer(run, condition, _typed(condition) if text is None else text, current_invocation().output)


def _answer(run: StoredRun, condition: StoredCondition, text: str, output: OutputFormat) -> None:
    import json

    from flyte._engine.answers import parse_answer
    from flyte._store.conditions import answer_condition
    from flyte._store.writer import Writer
    from flyte.cli._documents import print_document
    from flyte.config import home

    try:
        answer = parse_answer(condition.data_type, text)
    except ValueError as error:
        raise CommandError(f"condition {condition.action_name} asks {condition.prompt!r}: {error}.") from None
    writer = Writer(home())
    try:
        is_taken = writer.write(answer_condition(condition.action_id, json.dumps(answer)))
    finally:
        writer.close()
    if not is_taken:
        raise CommandError(f"condition {condition.action_name} of run {run.name} was closed a moment ago.")
    if output.is_document:
        print_document({"run": run.name, "action": condition.action_name, "answer": answer}, output)
        return
    goes_on = f" The run is interrupted: `flyte resume {run.name}` goes on with it." if run.is_interrupted else ""
    print(f"Condition {condition.action_name} of run {run.name} is answered: {json.dumps(answer)}.{goes_on}")


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
