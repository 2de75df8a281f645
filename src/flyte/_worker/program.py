"""`a0`: the program that a control plane starts for each attempt."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from flyte.errors import BaseRuntimeError


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
    from flyte._worker.request import AttemptRequest, checkpoint_paths, code_bundle, start_time
    from flyte.models import ActionID

    for option in ("name", "run_name", "project", "domain", "org"):
        if not options[option]:
            raise click.UsageError(f"--{option.replace('_', '-')} is missing or empty.")
    if options["debug"]:
        raise click.UsageError("--debug asks for a debugger in the task's process, which this release cannot start.")
    version, outputs = options["version"], options["outputs_path"]
    try:
        request = AttemptRequest(
            action=ActionID(
                name=options["name"],
                run_name=options["run_name"],
                project=options["project"],
                domain=options["domain"],
                org=options["org"],
            ),
            version=version,
            inputs=options["inputs"],
            outputs_path=outputs,
            run_base_dir=options["run_base_dir"],
            raw_data_path=options["raw_data_path"] or f"{outputs.rstrip('/')}/raw_data",
            checkpoints=checkpoint_paths(options["checkpoint_path"], options["prev_checkpoint"]),
            start_time=start_time(options["run_start_time"]),
            code=code_bundle(version, options["tgz"], options["pkl"], options["dest"]),
            resolver=options["resolver"],
            resolver_args=tuple(options["resolver_args"]),
            image_cache=options["image_cache"],
            is_interactive=options["interactive_mode"],
        )
    except BaseRuntimeError as error:
        raise click.UsageError(str(error)) from None
    sys.exit(run_attempt(request))


def main() -> None:
    """The entry point of the `a0` script. Nothing that a task left running holds the process up."""
    try:
        a0(standalone_mode=True)
    except SystemExit as end:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseRuntimeError as error:
        print(f"a0: {error}", file=sys.stderr, flush=True)
        os._exit(1)
