"""Code, inputs and disks that nobody should send to an attempt: each ends in an error that says what it was."""

from __future__ import annotations

import os
import resource
import signal
from typing import Any

import pytest
from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError
from flyteidl2.core.identifier_pb2 import Identifier
from flyteidl2.core.tasks_pb2 import TaskTemplate
from flyteidl2.task.task_definition_pb2 import TaskSpec

from tests.worker.attempts import Attempts

HALF_GIB = 1 << 29

TASKS = """
@env.task
def double(x: int) -> int:
    return 2 * x
"""


@pytest.fixture(autouse=True)
def tasks(attempts: Attempts) -> None:
    attempts.write(TASKS)
    attempts.give(x=1)


def test_inputs_that_are_not_there_are_an_error(attempts: Attempts) -> None:
    attempts.inputs.unlink()
    ended = attempts.run("double")
    assert (ended.exit_code, ended.error.code) == (1, "DataNotFound")
    assert str(attempts.inputs) in ended.error.message


@pytest.mark.parametrize("data", [b"\xff\xff\xff garbage", b"\x0a\x7f", bytes(range(255, 0, -1))])
def test_inputs_that_are_no_message_are_an_error(attempts: Attempts, data: bytes) -> None:
    attempts.inputs.write_bytes(data)
    ended = attempts.run("double")
    assert (ended.exit_code, ended.error.code) == (1, "InputsUnreadable")
    assert ended.error.origin == ExecutionError.SYSTEM
    assert str(attempts.inputs) in ended.error.message


def test_inputs_that_were_truncated_are_an_error(attempts: Attempts) -> None:
    attempts.inputs.write_bytes(attempts.inputs.read_bytes()[:-1])
    ended = attempts.run("double")
    assert (ended.exit_code, ended.error.code) == (1, "InputsUnreadable")


@pytest.mark.parametrize(
    "message",
    [
        ErrorDocument(error=ContainerError(code="E", message="failed", kind=ContainerError.RECOVERABLE)),
        TaskSpec(task_template=TaskTemplate(id=Identifier(name="e.double"), type="python"), short_name="double"),
    ],
    ids=["ErrorDocument", "TaskSpec"],
)
def test_a_message_of_another_kind_is_no_inputs(attempts: Attempts, message: ErrorDocument | TaskSpec) -> None:
    attempts.inputs.write_bytes(message.SerializeToString())
    ended = attempts.run("double")
    assert (ended.files, ended.error.code) == (["error.pb"], "InputsUnreadable")
    assert ended.exit_code == 1


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ({"x": "one"}, "TypeTransformerFailedError", "input 'x' of task 'e.double'"),
        ({"x": 1, "y": 1}, "ValueError", "unknown inputs: 'y'"),
        ({"y": 1}, "ValueError", "x"),
        ({}, "ValueError", "Missing required inputs: x."),
    ],
)
def test_inputs_of_other_names_and_types_are_errors(
    attempts: Attempts, values: dict[str, Any], code: str, said: str
) -> None:
    attempts.give(**values)
    ended = attempts.run("double")
    assert ended.error.code == code
    assert said in ended.error.message


MODULES = {
    "raises": ("1 / 0", "module 'raises' fails to import at raises.py:4: ZeroDivisionError: division by zero."),
    "exits": ("sys.exit(5)", "module 'exits' ends the program when it is imported (sys.exit(5) at exits.py:4)."),
    "broken": ("def (:", "module 'broken' fails to import at broken.py:4: SyntaxError"),
    "lacks": ("import not_there", "module 'lacks' fails to import at lacks.py:4: ModuleNotFoundError"),
    "empty": ("", "has no task 'main'"),
    "other": ("main = 3", "is no task but a int"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_be_imported_is_an_error(attempts: Attempts, name: str) -> None:
    code, said = MODULES[name]
    attempts.write(code, name)
    ended = attempts.run("main", module=name)
    assert (ended.exit_code, ended.files, ended.error.code) == (1, ["error.pb"], "ModuleLoadError")
    assert said in ended.error.message


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--resolver", "mine.Resolver", "mod", "tasks", "instance", "double"), "InvalidArgument"),
        (("mod", "tasks"), "InvalidArgument"),
        (("--resolver", "flyte._internal.resolvers.default.DefaultTaskResolver", "mod"), "ModuleLoadError"),
    ],
)
def test_a_task_that_is_named_in_another_way_is_an_error(
    attempts: Attempts, options: tuple[str, ...], code: str
) -> None:
    ended = attempts.run(None, *options)
    assert (ended.exit_code, ended.error.code) == (1, code)


def test_a_task_that_exits_is_an_error(attempts: Attempts) -> None:
    attempts.write(
        "@env.task\ndef leaves() -> None:\n    sys.exit(0)\n@env.task\nasync def leaves_too() -> None:\n    exit()\n"
    )
    attempts.give()
    for task in ("leaves", "leaves_too"):
        ended = attempts.run(task)
        assert (ended.exit_code, ended.error.code) == (0, "SystemExit")


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_module_that_segfaults_leaves_nothing_but_where_it_was(attempts: Attempts, kind: str) -> None:
    attempts.write(f"import ctypes\n@env.task\n{kind} crashes() -> None:\n    ctypes.string_at(0)\n")
    attempts.give()
    ended = attempts.run("crashes", before=without_core)
    assert (ended.exit_code, ended.files) == (-signal.SIGSEGV, [])
    assert "Segmentation fault" in ended.stderr
    assert "in crashes" in ended.stderr


def test_a_module_that_prints_100_mb_at_import_is_none_the_worse(attempts: Attempts) -> None:
    attempts.write(f"for _ in range(100):\n    print('x' * (1 << 20))\n{TASKS}")
    ended = attempts.run("double")
    assert (ended.value, len(ended.stdout)) == (2, 100 * ((1 << 20) + 1))


def test_an_output_that_nobody_reads_on_is_the_errors_cause_and_hides_nothing(attempts: Attempts) -> None:
    attempts.write("@env.task\ndef prints() -> None:\n    print('x' * (1 << 20), flush=True)\n")
    attempts.give()
    reads, writes = os.pipe()
    os.close(reads)
    process = attempts.start("prints", stdout=writes)
    os.close(writes)
    ended = attempts.wait(process)
    assert (ended.exit_code, ended.error.code) == (0, "BrokenPipeError")


@pytest.mark.parametrize(
    "closing",
    ["sys.stdout.close(); sys.stderr.close()", "os.close(1); os.close(2)", "sys.stdout = sys.stderr = None"],
)
def test_a_task_that_closes_its_streams_still_has_an_outcome(attempts: Attempts, closing: str) -> None:
    code = f"@env.task\ndef closes() -> int:\n    {closing}\n    return 1\n"
    attempts.write(f"{code}@env.task\ndef fails() -> int:\n    {closing}\n    raise ValueError('no')\n")
    attempts.give()
    assert attempts.run("closes").value == 1
    ended = attempts.run("fails")
    assert (ended.exit_code, ended.error.message) == (0, "no")


def test_what_is_written_to_a_closed_descriptor_gets_into_no_file_of_ours(attempts: Attempts) -> None:
    attempts.write(
        "def write():\n    while True:\n        try:\n            os.write(1, b'junk')\n"
        "        except OSError:\n            pass\n"
        "@env.task\ndef closes() -> int:\n    os.close(1)\n    threading.Thread(target=write, daemon=True).start()\n"
        "    return 1\n"
    )
    attempts.give()
    for _ in range(3):
        assert attempts.run("closes").value == 1


FORKING = """
def fork():
    if os.fork() == 0:
        print("child", flush=True)
    else:
        os.wait()
"""


def test_a_process_that_a_module_forks_runs_nothing(attempts: Attempts) -> None:
    attempts.write(f"{FORKING}fork()\n@env.task\ndef pid() -> int:\n    print('ran')\n    return os.getpid()\n")
    attempts.give()
    process = attempts.start("pid")
    ended = attempts.wait(process)
    assert (ended.value, ended.stdout.splitlines()) == (process.pid, ["child", "ran"])
    assert "a process that the task forked came back from it" in ended.stderr


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_process_that_a_task_forks_writes_no_outcome(attempts: Attempts, kind: str) -> None:
    attempts.write(f"{FORKING}@env.task\n{kind} pid() -> int:\n    fork()\n    return os.getpid()\n")
    attempts.give()
    process = attempts.start("pid")
    assert attempts.wait(process).value == process.pid


def test_a_forked_process_ends_when_its_parent_says_so(attempts: Attempts) -> None:
    attempts.write(
        "import multiprocessing\n@env.task\ndef stops() -> int:\n"
        "    reads, writes = os.pipe()\n"
        "    def body() -> None:\n        os.write(writes, b'x')\n        time.sleep(600)\n"
        "    child = multiprocessing.get_context('fork').Process(target=body)\n"
        "    child.start()\n    os.read(reads, 1)\n    child.terminate()\n    child.join()\n    return child.exitcode\n"
    )
    attempts.give()
    assert attempts.run("stops").value == -signal.SIGTERM


def test_a_task_that_uses_all_memory_is_an_error(attempts: Attempts) -> None:
    attempts.write(
        "@env.task\ndef hoards() -> int:\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 24))\n"
        "@env.task\ndef hoards_small() -> int:\n    kept = []\n"
        "    while True:\n        kept.append([object() for _ in range(100)])\n"
        "@env.task\nasync def hoards_on_loop() -> int:\n    kept = []\n"
        "    while True:\n        kept.append([object() for _ in range(100)])\n"
    )
    attempts.give()
    for task in ("hoards", "hoards_small", "hoards_on_loop"):
        ended = attempts.run(task, before=with_little_memory)
        assert (ended.exit_code, ended.error.code) == (0, "MemoryError"), ended.stderr


@pytest.mark.parametrize(
    "code",
    [
        "kept = [bytearray(1 << 24) for _ in range(1000)]\n",
        "kept = []\nwhile True:\n    kept.append([object() for _ in range(100)])\n",
    ],
)
def test_a_module_that_uses_all_memory_is_an_error(attempts: Attempts, code: str) -> None:
    attempts.write(code)
    ended = attempts.run("main", before=with_little_memory)
    assert (ended.exit_code, ended.files) == (1, ["error.pb"])
    assert "MemoryError" in f"{ended.error.code} {ended.error.message}"


def test_outputs_of_a_wrong_type_or_too_large_are_errors(attempts: Attempts) -> None:
    attempts.write(
        "@env.task\ndef wrong() -> int:\n    return 'text'\n"
        "@env.task(max_inline_io_bytes=1000)\ndef large() -> str:\n    return 'x' * 1000\n"
        "@env.task\ndef no_text() -> str:\n    return '\\udc80'\n"
    )
    attempts.give()
    ended = attempts.run("wrong")
    assert (ended.exit_code, ended.error.code) == (0, "DataValidationError")
    ended = attempts.run("large")
    assert (ended.exit_code, ended.error.code) == (0, "InlineIOMaxBytesBreached")
    ended = attempts.run("no_text")
    assert (ended.exit_code, ended.files) == (0, ["error.pb"])


def test_errors_of_any_text_are_written(attempts: Attempts) -> None:
    attempts.write(
        "class Silent(Exception):\n    def __str__(self):\n        raise KeyError\n"
        "@env.task\ndef silent() -> None:\n    raise Silent\n"
        "@env.task\ndef surrogate() -> None:\n    raise ValueError('a\\udc80b')\n"
        "@env.task\ndef long() -> None:\n    raise ValueError('x' * 10_000_000)\n"
    )
    attempts.give()
    assert attempts.run("silent").error.message == "it has no text: its __str__ raised KeyError."
    assert attempts.run("surrogate").error.message == "a\\udc80b"
    message = attempts.run("long").error.message
    assert (len(message) < 40_000, "characters left out" in message) == (True, True)


def test_threads_processes_and_tasks_that_are_left_behind_hold_nothing_up(attempts: Attempts) -> None:
    attempts.write(
        "async def stubborn():\n    while True:\n        try:\n            await asyncio.sleep(600)\n"
        "        except asyncio.CancelledError:\n            pass\n"
        "@env.task\nasync def leaves() -> int:\n    threading.Thread(target=time.sleep, args=[600]).start()\n"
        "    asyncio.create_task(asyncio.to_thread(time.sleep, 600))\n    asyncio.create_task(stubborn())\n"
        "    await asyncio.sleep(0)\n    return 1\n"
        "@env.task\ndef leaves_thread() -> int:\n    threading.Thread(target=time.sleep, args=[600]).start()\n"
        "    return 1\n"
    )
    attempts.give()
    for task in ("leaves", "leaves_thread"):
        assert attempts.run(task).value == 1


def test_what_is_registered_to_be_done_at_the_end_is(attempts: Attempts) -> None:
    attempts.write(
        "import atexit\n@env.task\ndef registers() -> int:\n    atexit.register(print, 'end')\n    return 1\n"
    )
    attempts.give()
    ended = attempts.run("registers")
    assert (ended.value, ended.stdout) == (1, "end\n")


def test_a_task_that_writes_an_outcome_itself_does_not_decide(attempts: Attempts) -> None:
    attempts.write(
        "from pathlib import Path\n"
        "def forge(name):\n    path = Path(flyte.ctx().output_path)\n    path.mkdir(parents=True)\n"
        "    (path / name).write_bytes(b'forged')\n"
        "@env.task\ndef succeeds() -> int:\n    forge('error.pb')\n    return 1\n"
        "@env.task\ndef fails() -> int:\n    forge('outputs.pb')\n    raise ValueError('no')\n"
    )
    attempts.give()
    assert attempts.run("succeeds").value == 1
    attempts.prefix = attempts.prefix.with_name("2")
    ended = attempts.run("fails")
    assert (ended.exit_code, ended.error.message) == (0, "no")


def test_a_full_disk_is_said_and_ends_the_process_with_a_code(attempts: Attempts) -> None:
    ended = attempts.run("double", variables={"FLYTE_FAULT_POINT": "data.before_write:1:raise-enospc"})
    assert (ended.exit_code, ended.files) == (1, [])
    assert "No space left on device" in ended.stderr
    assert "outputs.pb" in ended.stderr


def test_a_disk_with_room_for_an_error_gets_one(attempts: Attempts) -> None:
    attempts.write("@env.task\ndef large() -> str:\n    return 'x' * 100_000\n")
    attempts.give()
    ended = attempts.run("large", before=with_small_files)
    assert (ended.exit_code, ended.files) == (1, ["error.pb"])
    assert "outputs.pb" in ended.error.message
    assert "outputs.pb" in ended.stderr


def test_a_prefix_where_nothing_can_be_written_is_said(attempts: Attempts) -> None:
    attempts.prefix.parent.parent.mkdir()
    attempts.prefix.parent.write_text("a file")
    process = attempts.start("double")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert str(attempts.prefix) in stderr


def with_little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (HALF_GIB, HALF_GIB))


def with_small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def without_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
