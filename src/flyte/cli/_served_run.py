"""A run on a control plane: starting it, following it, and telling how it went."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from flyte.cli._errors import FAILED, INTERRUPTED, CommandError
from flyte.cli._invocation import Invocation, RunSettings, current_invocation
from flyte.cli._moments import show_duration
from flyte.cli._plane import connect
from flyte.cli._terminal import is_terminal, note, paint

if TYPE_CHECKING:
    from flyte._run import Runner
    from flyte.errors import BaseRuntimeError
    from flyte.remote import Run

_SHOWN_CHARACTERS = 400


def served_runner(settings: RunSettings) -> Runner:
    """The runner for the options of a command; the control plane runs.

    Raises:
        CommandError: the options exclude each other, or there is no control plane.
    """
    from flyte._run import with_runcontext

    invocation = current_invocation()
    variables = dict(settings.env_vars)
    if not settings.adds_root:
        variables.setdefault("_F_SYS_PATH", "")
    project, domain = settings.run_place
    try:
        runner = with_runcontext(
            mode="remote",
            name=settings.name,
            version=settings.version,
            project=project,
            domain=domain,
            raw_data_path=settings.raw_data_path,
            env_vars=variables,
            labels=settings.labels,
            copy_style=settings.copy_style or "loaded_modules",
            queue=settings.queue,
            max_action_concurrency=settings.max_action_concurrency,
            service_account=settings.service_account,
            log_level=invocation.log_level,
            user_log_level=invocation.user_log_level,
        )
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
    # Last: a command that is wrong starts no control plane.
    connect(settings.project, settings.domain, settings.root_dir, settings.images)
    return runner


def start_served(task_name: str, start: Callable[[], Run], *, follows: bool) -> None:
    """A run that `start` makes is told; with `follows` it is watched to its end.

    Raises:
        click.exceptions.Exit: it was followed and did not succeed (1), or Ctrl-C has ended the following (130).
        CommandError: there is no run, because the command was wrong.
    """
    invocation = current_invocation()
    began = time.monotonic()
    try:
        run = start()
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
    is_document = invocation.output.is_document
    if not is_document or follows:
        print(
            f"Created Run: {run.name}",
            f"URL: {run.url}",
            sep="\n",
            file=sys.stderr if is_document else None,
            flush=True,
        )
    if follows:
        _follow(invocation, task_name, run, began)
    elif is_document:
        _print(invocation, task_name, run, began)
    else:
        note(f"It goes on by itself. To watch it: flyte get logs --follow {run.name}")


def _follow(invocation: Invocation, task_name: str, run: Run, began: float) -> None:
    from flyte.syncify import syncify

    try:
        error = syncify.run_blocking(_followed(invocation, run))
    except KeyboardInterrupt:
        note(
            f"No longer followed; run {run.name} goes on. To follow it again: flyte get logs --follow {run.name}. "
            f"To end it: flyte abort run {run.name}"
        )
        raise click.exceptions.Exit(INTERRUPTED) from None
    if invocation.output.is_document:
        _print(invocation, task_name, run, began, error)
    head = f"Run {run.name} {run.phase.value.replace('_', ' ')}"
    if error is not None:
        head = f"{head} after {show_duration(time.monotonic() - began)}: {error.code}: {error}"
        lines = [paint(f"✗ {head}", sys.stderr, fg="red", bold=True)]
        lines += ["", error.remote_traceback.rstrip()] if error.remote_traceback else []
        lines += ["", f"Look further: flyte get action {run.name}"]
        print(*lines, sep="\n", file=sys.stderr, flush=True)
        raise click.exceptions.Exit(FAILED)
    if not invocation.output.is_document:
        _print_success(run, f"{head} in {show_duration(time.monotonic() - began)}")


async def _followed(invocation: Invocation, run: Run) -> BaseRuntimeError | None:
    """Why the run did not succeed, once it has ended and what its root task printed was shown."""
    from flyte._rpc.retries import patient
    from flyte.cli._plane_logs import LogQuery, follow_action

    def show(_: LogQuery, line: tuple[str, str]) -> None:
        print(line[1], file=sys.stderr if invocation.output.is_document else None, flush=True)

    with patient():
        details = (await run.details.aio()).action_details
        await follow_action(details, LogQuery(run.name, "a0"), show)
        await run.wait.aio(quiet=True)
        return (await run.details.aio()).action_details.error()


def _print_success(run: Run, head: str) -> None:
    lines = _output_lines(run)
    if is_terminal(sys.stdout):
        print(paint(f"✓ {head}", sys.stdout, fg="green"), *(f"  {line}" for line in lines), sep="\n", flush=True)
    else:
        print(f"{head}: {', '.join(lines)}" if lines else head, flush=True)


def _output_lines(run: Run) -> list[str]:
    from flyte.cli._literals import show_value, value_of

    lines = []
    for name, literal in run.output_literals().items():
        value = value_of(literal)
        text = " ".join((repr(value) if isinstance(value, str) else show_value(value)).split())
        if len(text) > _SHOWN_CHARACTERS:
            text = f"{text[:_SHOWN_CHARACTERS]}… (`flyte get io {run.name}` shows all)"
        lines.append(f"{name} = {text}")
    return lines


def _print(
    invocation: Invocation, task_name: str, run: Run, began: float, error: BaseRuntimeError | None = None
) -> None:
    """The document of a run: the fields of a local one; what a control plane does not count is null."""
    from flyte.cli._documents import print_document
    from flyte.cli._literals import value_of

    outputs = None
    if run.done() and error is None:
        outputs = {name: value_of(literal) for name, literal in run.output_literals().items()}
    document = {
        "name": run.name,
        "task": task_name,
        "phase": run.phase.value,
        "url": run.url,
        "elapsed_s": round(time.monotonic() - began, 3),
        "actions": None,
        "cache": None,
        "outputs": outputs,
        "error": None if error is None else _error_document(task_name, error),
    }
    print_document(document, invocation.output)


def _error_document(task_name: str, error: BaseRuntimeError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": str(error),
        "kind": error.kind,
        "task": task_name,
        "action": "a0",
        "attempt": None,
        "traceback": error.remote_traceback,
    }


def in_place(settings: RunSettings, project: str | None, domain: str | None) -> RunSettings:
    """The settings, for a run in that project and domain where they name none."""
    return replace(settings, project=settings.project or project, domain=settings.domain or domain)
