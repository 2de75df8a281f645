"""`a0`: the program that a control plane starts for each attempt."""

from __future__ import annotations

import atexit
import faulthandler
import io
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flyte.errors import BaseRuntimeError

if TYPE_CHECKING:
    from flyte._worker.request import AttemptRequest

_LAST_WORK_S = 5.0
"""So long may take what the task's libraries do at the end of a process."""


def _option(*names: str, variable: str | None = None, is_required: bool = False, help: str) -> Callable[[Any], Any]:
    return click.option(*names, envvar=variable, required=is_required, help=help)


@click.command("a0", context_settings={"help_option_names": ["-h", "--help"]})
@_option("-i", "--inputs", is_required=True, help="Address of the inputs.")
@_option("-o", "--outputs-path", is_required=True, help="Prefix of outputs.pb, error.pb and report.html.")
@_option("-v", "--version", is_required=True, help="Version of the task.")
@_option("--run-base-dir", variable="_U_RUN_BASE", is_required=True, help="Where the run keeps its actions' folders.")
@_option("-r", "--raw-data-path", help="Prefix for data; default raw_data below the outputs.")
@_option("-c", "--checkpoint-path", help="Where this attempt leaves its checkpoint.")
@_option("-p", "--prev-checkpoint", help="Where the attempt before left its own.")
@_option("--name", variable="ACTION_NAME", help="Name of the action.")
@_option("--run-name", variable="RUN_NAME", help="Name of the run.")
@_option("--run-start-time", help="When the run started, in ISO 8601.")
@_option("--project", variable="FLYTE_INTERNAL_EXECUTION_PROJECT", help="Project of the run.")
@_option("--domain", variable="FLYTE_INTERNAL_EXECUTION_DOMAIN", help="Domain of the run.")
@_option("--org", variable="_U_ORG_NAME", help="Organisation of the run.")
@click.option("--debug", type=bool, envvar="_F_E_VS", default=False, help="Refused: there is no debugger to start.")
@click.option("--interactive-mode", type=bool, default=False, help="The run was started from a notebook.")
@_option("--image-cache", help="Images by environment, as they travel.")
@_option("--tgz", help="Address of the packed code.")
@_option("--pkl", help="Address of the pickled task.")
@click.option("--dest", default=".", show_default=True, help="Folder to unpack the code into.")
@_option("--resolver", help="What finds the task.")
@click.argument("resolver_args", nargs=-1, type=click.UNPROCESSED)
def a0(**options: Any) -> None:
    """Run one attempt of a task: read its inputs, run it, write its outputs or its error."""
    from flyte._worker.attempt import run_attempt
    from flyte._worker.logs import set_up_logs

    try:
        request = _request(options)
        names = str(request.action.run_name), request.action.name
        set_up_logs(lambda: names)
    except BaseRuntimeError as error:
        raise click.UsageError(str(error)) from None
    sys.exit(run_attempt(request))


def request_of(arguments: Sequence[str]) -> AttemptRequest:
    """The request that a command line stands for.

    Raises:
        click.ClickException: it is none.
        BaseRuntimeError: it asks for what this program cannot do.
    """
    return _request(a0.make_context("a0", list(arguments)).params)


def _request(options: dict[str, Any]) -> AttemptRequest:
    from flyte._authoring.image_cache import ImageCache
    from flyte._worker.request import (
        AttemptRequest,
        address,
        attempt_number,
        checkpoint_paths,
        code_bundle,
        is_placeholder,
        path_rewrite,
        refuse_variables,
        start_time,
    )
    from flyte._worker.termination import grace_s
    from flyte.models import ActionID

    refuse_variables()
    for option, variable in (("name", "ACTION_NAME"), ("run_name", "RUN_NAME")):
        if is_placeholder(options[option]):
            options[option] = os.environ.get(variable)
    for option in ("name", "run_name", "project", "domain", "org"):
        if not options[option] or is_placeholder(options[option]):
            raise click.UsageError(f"--{option.replace('_', '-')} is missing or empty: {options[option]!r}.")
    if options["debug"]:
        raise click.UsageError("--debug asks for a debugger in the task's process, which this release cannot start.")
    if options["pkl"] and (options["resolver"] or options["resolver_args"]):
        raise click.UsageError("--pkl names the task itself, and --resolver was given too: give one of them.")
    version, outputs = options["version"], address("--outputs-path", options["outputs_path"])
    raw_data = options["raw_data_path"]
    return AttemptRequest(
        action=ActionID(
            name=options["name"],
            run_name=options["run_name"],
            project=options["project"],
            domain=options["domain"],
            org=options["org"],
        ),
        version=version,
        inputs=address("--inputs", options["inputs"]),
        outputs_path=outputs,
        run_base_dir=address("--run-base-dir", options["run_base_dir"]),
        raw_data_path=address("--raw-data-path", raw_data) if raw_data else f"{outputs.rstrip('/')}/raw_data",
        checkpoints=checkpoint_paths(options["checkpoint_path"], options["prev_checkpoint"]),
        start_time=start_time(options["run_start_time"]),
        code=code_bundle(version, options["tgz"], options["pkl"], options["dest"]),
        resolver=options["resolver"],
        resolver_args=tuple(options["resolver_args"]),
        image_cache=ImageCache.from_transport(options["image_cache"]) if options["image_cache"] else None,
        path_rewrite=path_rewrite(),
        attempt_number=attempt_number(),
        grace_s=grace_s(),
        is_interactive=options["interactive_mode"],
    )


def main() -> None:
    """The entry point of the `a0` script. Nothing that a task left running holds the process up."""
    with suppress(Exception):  # There may be no streams.
        faulthandler.enable()
        # What was printed before a crash is seen, and before the end.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)
    code = 1
    try:
        a0(standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseRuntimeError as error:
        _write_line(f"a0: {error}")
    except BaseException:
        _write_line(traceback.format_exc().rstrip())
    finally:
        _end(code)


def _write_line(text: str) -> None:
    with suppress(Exception):  # The task may have closed or replaced the stream.
        print(text, file=sys.stderr, flush=True)


def _end(code: int) -> NoReturn:
    """What was registered to be done at the end is, within some seconds; threads and processes are not waited for."""
    timer = threading.Timer(_LAST_WORK_S, os._exit, [code])
    timer.daemon = True
    with suppress(RuntimeError):  # There are no more threads.
        timer.start()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
