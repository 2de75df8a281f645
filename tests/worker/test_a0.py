"""What an attempt is given, and what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flyteidl2.core.execution_pb2 import ContainerError, ExecutionError

from flyte._authoring.image_cache import ImageCache
from tests.worker.attempts import Attempts

TASKS = """
from flyte.errors import NonRecoverableError

@env.task
async def double(x: int) -> int:
    print("doubling")
    return 2 * x

@env.task
def triple(x: int) -> int:
    return 3 * x

@env.task
def nothing() -> None:
    pass

@env.task
def fails(x: int) -> int:
    raise ValueError(f"x is {x}")

@env.task
def gives_up() -> int:
    raise NonRecoverableError("never")

@env.task
async def context() -> str:
    ctx = flyte.ctx()
    action = ctx.action
    parts = [action.org, action.project, action.domain, action.run_name, action.name, ctx.version, ctx.mode]
    parts += [ctx.input_path, ctx.output_path, ctx.run_base_dir, ctx.raw_data_path.path, str(ctx.attempt_number)]
    return "|".join([*parts, ctx.run_start_time.isoformat(), str(ctx.custom_context)])

@env.task
def place() -> str:
    os.chdir("/")
    return "there"

@env.task(report=True)
async def reports() -> int:
    await flyte.report.replace.aio("<p>seen</p>")
    await flyte.report.flush.aio()
    return 1

@env.task(retries=1)
def resumes() -> str:
    checkpoint = flyte.ctx().checkpoint
    before = checkpoint.load_sync()
    if before is None:
        checkpoint.save_sync(b"half")
        raise ConnectionError("lost")
    return before.read_text() + " and half"

@env.task
async def calls() -> int:
    return await double(1)
"""


@pytest.fixture(autouse=True)
def tasks(attempts: Attempts) -> None:
    attempts.write(TASKS)


@pytest.mark.parametrize(("task", "value"), [("double", 14), ("triple", 21)])
def test_a_task_that_returns_leaves_its_outputs(attempts: Attempts, task: str, value: int) -> None:
    attempts.give(x=7)
    ended = attempts.run(task)
    assert (ended.value, ended.files) == (value, ["outputs.pb"])
    assert ended.stderr == ""


def test_the_console_script_is_the_same_program(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.worker.attempts.A0", [str(Path(sys.executable).with_name("a0"))])
    attempts.give(x=7)
    ended = attempts.run("double")
    assert (ended.value, ended.stdout) == (14, "doubling\n")


def test_a_task_without_outputs_leaves_an_empty_message(attempts: Attempts) -> None:
    ended = attempts.run("nothing")
    assert (ended.exit_code, (ended.prefix / "outputs.pb").read_bytes()) == (0, b"")


def test_a_task_that_raises_leaves_its_error_and_is_not_a_failure_of_the_process(attempts: Attempts) -> None:
    attempts.give(x=7)
    ended = attempts.run("fails")
    assert (ended.exit_code, ended.files) == (0, ["error.pb"])
    assert ended.error == ContainerError(
        code="ValueError", message="x is 7", kind=ContainerError.RECOVERABLE, origin=ExecutionError.USER
    )
    lines = ended.stderr.splitlines()
    assert (lines[-1], len([line for line in lines if "File " in line])) == ("ValueError: x is 7", 1)


def test_an_error_that_no_attempt_can_help_says_so(attempts: Attempts) -> None:
    assert attempts.run("gives_up").error.kind == ContainerError.NON_RECOVERABLE


def test_the_context_is_what_the_process_was_given(attempts: Attempts) -> None:
    attempts.give({"team": "red"})
    ended = attempts.run(
        "context", "--run-start-time", "2024-01-01T02:00:00+02:00", variables={"FLYTE_ATTEMPT_NUMBER": "3"}
    )
    folder = attempts.folder
    expected = ["org", "project", "domain", "r", "a", "v1", "remote", folder / "inputs.pb", attempts.prefix]
    expected += [folder / "run", folder / "raw", 3, "2024-01-01T00:00:00+00:00", {"team": "red"}]
    assert ended.value == "|".join(map(str, expected))


def test_variables_stand_in_for_options_and_for_placeholders(attempts: Attempts) -> None:
    command = ["-i", "../inputs.pb", "-o", str(attempts.prefix), "-v", "v2", "--name", "{{.actionName}}"]
    command += ["-c", "{{.checkpointOutputPrefix}}", "-p", "{{.prevCheckpointPrefix}}"]
    command += ["--run-start-time", "{{.runStartTime}}", *attempts.arguments("context")[-6:]]
    variables = {"ACTION_NAME": "action", "RUN_NAME": "run", "_U_RUN_BASE": "/base"}
    values = attempts.run(None, command=command, variables=variables).value.split("|")
    assert values[3:6] == ["run", "action", "v2"]
    assert values[7:9] == [str(attempts.inputs), str(attempts.prefix)]
    assert values[9:13] == ["/base", f"{attempts.prefix}/raw_data", "0", "1970-01-01T00:00:00+00:00"]


def test_images_and_notebooks_are_known_to_the_task(attempts: Attempts) -> None:
    attempts.write(
        "@env.task\nasync def main() -> str:\n    ctx = flyte.ctx()\n"
        "    return f'{ctx.compiled_image_cache.image_lookup} {ctx.interactive_mode}'\n"
    )
    images = ImageCache({"e": "registry/e:1"}).to_transport
    ended = attempts.run("main", "--image-cache", images, "--interactive-mode", "true")
    assert ended.value == "{'e': 'registry/e:1'} True"


HOOKS = """
class Hooked(flyte.AsyncFunctionTaskTemplate):
    async def pre(self, *args, **kwargs):
        return {"added": 10}

    async def execute(self, *args, **kwargs):
        return 2 * await super().execute(*args, **kwargs)

    async def post(self, value):
        print("posted", value)

def add(x: int) -> int:
    return x + flyte.ctx()["added"]

main = Hooked.from_function(add, name="e.add")
"""


def test_a_task_of_a_class_of_its_own_runs_with_its_hooks(attempts: Attempts) -> None:
    attempts.write(HOOKS)
    attempts.give(x=1)
    ended = attempts.run("main")
    assert (ended.value, ended.stdout) == (22, "posted 22\n")


def test_relative_addresses_mean_what_they_did_when_the_process_started(attempts: Attempts) -> None:
    ended = attempts.run("place", "--outputs-path", "out", "--inputs", "../inputs.pb")
    assert ended.exit_code == 0
    assert (attempts.project / "out" / "outputs.pb").exists()


def test_the_report_is_a_file_beside_the_outputs(attempts: Attempts) -> None:
    ended = attempts.run("reports")
    assert (ended.value, ended.files) == (1, ["outputs.pb", "report.html"])
    assert "<p>seen</p>" in (ended.prefix / "report.html").read_text()


def test_an_attempt_reads_the_checkpoint_of_the_one_before(attempts: Attempts) -> None:
    places = [str(attempts.folder / "run" / "a" / number / "_flytecheckpoints") for number in "12"]
    first = attempts.run("resumes", "--checkpoint-path", places[0], "--prev-checkpoint", '""')
    assert (first.exit_code, first.error.code) == (0, "ConnectionError")
    attempts.prefix = attempts.prefix.with_name("2")
    second = attempts.run("resumes", "--checkpoint-path", places[1], "--prev-checkpoint", places[0])
    assert second.value == "half and half"
    assert list(attempts.temporary.iterdir()) == []


def test_a_task_that_calls_a_task_without_a_control_plane_says_what_is_missing(attempts: Attempts) -> None:
    error = attempts.run("calls").error
    assert (error.code, error.origin) == ("NoControlPlane", ExecutionError.SYSTEM)
    assert "'e.double' was called" in error.message


def test_a_process_takes_no_outcome_of_an_earlier_one_for_its_own(attempts: Attempts) -> None:
    attempts.give(x=1)
    assert attempts.run("double").value == 2
    assert attempts.run("fails").files == ["error.pb"]
    assert attempts.run("double").files == ["outputs.pb"]
    assert attempts.run("absent").files == ["error.pb"]


def test_a_process_that_is_killed_leaves_no_outcome_of_an_earlier_one(attempts: Attempts) -> None:
    attempts.write(
        "@env.task\ndef dies() -> None:\n    print('last')\n    os.kill(os.getpid(), signal.SIGKILL)\n", "dying"
    )
    attempts.give(x=1)
    attempts.run("double")
    attempts.give()
    ended = attempts.run("dies", module="dying")
    assert (ended.exit_code, ended.files) == (-9, [])
    assert ended.stdout == "last\n"


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (("--name", ""), {}, "--name is missing or empty"),
        (("--run-name", "{{.runName}}"), {}, "--run-name is missing or empty"),
        ((), {"_U_ORG_NAME": ""}, "--org is missing or empty"),
        (("--outputs-path", "{{.outputPrefix}}"), {}, "--outputs-path is '{{.outputPrefix}}'"),
        (("--inputs", "{{.input}}"), {}, "--inputs is '{{.input}}'"),
        (("--raw-data-path", "{{.rawOutputDataPrefix}}"), {}, "--raw-data-path is '{{.rawOutputDataPrefix}}'"),
        (("--run-base-dir", " "), {}, "--run-base-dir is ' '"),
        (("--run-start-time", "noon"), {}, "'noon' is not a time in ISO 8601"),
        (("--tgz", "a", "--pkl", "b"), {}, "give one of them"),
        (("--pkl", "b"), {}, "give one of them"),
        (("--image-cache", "?"), {}, "is no image cache"),
        (("--debug", "true"), {}, "cannot start"),
        (("--unknown",), {}, "No such option"),
        ((), {"_F_PATH_REWRITE": "a"}, "path rewrite 'a' is not of the form"),
        ((), {"_F_E_SSH": "1"}, "_F_E_SSH is '1'"),
        ((), {"_F_EXEC_WRAPPER": "nsys"}, "_F_EXEC_WRAPPER is 'nsys'"),
        ((), {"FLYTE_CLUSTERED_WORKER": "1"}, "one of several"),
        ((), {"FLYTE_ATTEMPT_NUMBER": "first"}, "FLYTE_ATTEMPT_NUMBER is 'first'"),
        ((), {"FLYTE_TERMINATION_GRACE_S": "-1"}, "FLYTE_TERMINATION_GRACE_S is '-1'"),
        ((), {"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(
    attempts: Attempts, options: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    ended = attempts.run("double", *options, variables=variables)
    assert (ended.exit_code, ended.stdout, ended.files) == (2, "", [])
    assert said in " ".join(ended.stderr.split())


def test_no_arguments_name_the_first_that_is_missing(attempts: Attempts) -> None:
    done = subprocess.run([sys.executable, "-m", "flyte._worker.program"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--inputs" in done.stderr


LOGGING = """
import logging

@env.task
def logs() -> None:
    flyte.logger.info("mine")
    flyte.system_logger.info("ours")
    logging.getLogger("library").info("theirs")
    try:
        1 / 0
    except ZeroDivisionError:
        flyte.logger.exception("divided")
"""


def test_log_levels_are_those_of_the_variables(attempts: Attempts) -> None:
    attempts.write(LOGGING)
    assert attempts.run("logs").stderr.splitlines()[0] == "INFO flyte.user: mine"
    levels = {"LOG_LEVEL": "info", "USER_LOG_LEVEL": "critical"}
    assert attempts.run("logs", variables=levels).stderr == "INFO flyte: ours\n"


def test_with_a_reset_root_logger_every_library_writes_as_flyte_does(attempts: Attempts) -> None:
    attempts.write(LOGGING)
    lines = attempts.run("logs", variables={"LOG_LEVEL": "info", "FLYTE_RESET_ROOT_LOGGER": "1"}).stderr.splitlines()
    assert lines[:3] == ["INFO flyte.user: mine", "INFO flyte: ours", "INFO library: theirs"]


def test_json_logs_are_one_document_a_line(attempts: Attempts) -> None:
    attempts.write(LOGGING)
    variables = {"LOG_LEVEL": "info", "FLYTE_RESET_ROOT_LOGGER": "1", "LOG_FORMAT": "json"}
    lines = [json.loads(line) for line in attempts.run("logs", variables=variables).stderr.splitlines()]
    assert [line["message"] for line in lines] == ["mine", "ours", "theirs", "divided"]
    assert [line["is_flyte_internal"] for line in lines] == [False, True, False, False]
    first = lines[0]
    assert (first["level"], first["logger"], first["filename"]) == ("INFO", "flyte.user", "tasks.py")
    assert (first["funcName"], first["run_name"], first["action_name"]) == ("logs", "r", "a")
    assert "ZeroDivisionError" in lines[3]["exc_info"]
