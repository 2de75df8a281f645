"""Isolated runs: each attempt in a process, with the software, the variables and the secrets of its environment."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte
import flyte.report
from flyte._controller.log_files import LogReader
from flyte._controller.process_slots import LIMIT
from flyte._run.runner import Runner
from flyte._store.reader import StoreReader
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase
from tests.processes import are_gone

HERE = os.getpid()

red = flyte.TaskEnvironment(name="red", env_vars={"COLOUR": "red"})
blue = flyte.TaskEnvironment(name="blue", env_vars={"COLOUR": "blue"})
guarded = flyte.TaskEnvironment(
    name="guarded",
    secrets=[
        flyte.Secret("iso-key", as_env_var="ISO_SECRET"),
        flyte.Secret("file-key", group="team", mount=Path("/etc/flyte/secrets"), as_env_var="ISO_FILE"),
    ],
)
warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy(replicas=1, concurrency=8))
warm_sync = flyte.TaskEnvironment(name="warm-sync", reusable=flyte.ReusePolicy(replicas=(0, 2)))


@dataclass
class Point:
    x: int


@flyte.trace
async def traced(point: Point) -> Point:
    return Point(point.x + 1)


@blue.task
async def blue_task(point: Point) -> list[str]:
    return [os.environ["COLOUR"], str(os.getpid()), str(point.x)]


@blue.task
def blue_sync() -> str:
    return os.environ["COLOUR"]


@red.task
async def red_task() -> list[str]:
    point = await traced(Point(1))
    with flyte.group("g"):
        other = await blue_task(point)
    return [os.environ["COLOUR"], *other, await blue_sync.aio(), str(os.getpid())]


@red.task
def prints(count: int) -> int:
    print("from Python")
    subprocess.run(["echo", "from a program"], check=True)
    os.write(2, b"from a \xff descriptor\n")
    for number in range(count):
        print(f"{number:0999}")
    return os.getpid()


@red.task
def meets(folder: str, name: str, other: str) -> int:
    """Returns once the other one runs too: only where both run at one time."""
    Path(folder, name).touch()
    deadline = time.monotonic() + 30
    while not Path(folder, other).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{other} never ran beside {name}")
        # It keeps its processor, as a computation does.
        sum(range(1000))
    return os.getpid()


@red.task
async def both(folder: str) -> list[int]:
    return list(await asyncio.gather(meets.aio(folder, "a", "b"), meets.aio(folder, "b", "a")))


@red.task(timeout=timedelta(seconds=0.3))
async def blocks_its_loop() -> int:
    time.sleep(600)
    return 1


@red.task(retries=2)
def dies_twice(folder: str) -> str:
    """Each attempt goes on from the checkpoint of the one before."""
    # Without `assert`, which the test runner rewrites in this process and not in the other.
    checkpoint: Any = flyte.ctx().checkpoint
    saved = checkpoint.load_sync()
    before = saved.read_text() if saved else ""
    checkpoint.save_sync(f"{before}{flyte.ctx().attempt_number}".encode())
    if len(before) < 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return before


@red.task
def segfaults() -> int:
    import ctypes

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return ctypes.string_at(0)[0]


@red.task
def uses_all_memory() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    return len(bytearray(8 << 30))


@red.task
def forks() -> list[int]:
    other = os.fork()
    if other == 0:
        time.sleep(600)
    return [other, os.getpid()]


@red.task
def exits() -> int:
    sys.exit(3)


def leaves_a_process_behind(folder: str, how: str) -> None:
    """Something that is in no group of ours outlives the process, which is killed."""
    if how == "fork":
        if os.fork() == 0:
            os.setsid()
            Path(folder, str(os.getpid())).touch()
            time.sleep(600)
    else:
        script = f"touch {folder}/$$; exec sleep 600"
        os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, setsid=True)
    deadline = time.monotonic() + 30
    while not os.listdir(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


@red.task
def leaves_one(folder: str, how: str) -> None:
    leaves_a_process_behind(folder, how)


@warm.task
async def warm_leaves_one(folder: str, how: str) -> None:
    leaves_a_process_behind(folder, how)


@red.task
def is_killed_by(number: int) -> None:
    os.kill(os.getpid(), number)


@red.task
def prints_bytes() -> None:
    sys.stdout.buffer.write(b"written as bytes\n")


@red.task(report=True)
def reports() -> int:
    flyte.report.log("<p>seen</p>", do_flush=True)
    return 1


@guarded.task(report=True)
def uses_secrets(fail: bool) -> int:
    in_file = Path(os.environ["ISO_FILE"])
    if in_file.parent.parent != Path(os.environ["FLYTE_SECRETS_DIR"]) or in_file.stat().st_mode & 0o077:
        raise RuntimeError(f"it is at {in_file}")
    print("lengths", len(os.environ["ISO_SECRET"]), len(in_file.read_text()))
    flyte.report.log("<p>done</p>")
    if fail:
        raise RuntimeError("no secrets here")
    return len(os.environ["ISO_SECRET"]) + len(in_file.read_text())


@warm.task
async def warm_task(number: int) -> int:
    return os.getpid()


@warm.task
async def warm_wide(number: int) -> list[int]:
    return [os.getpid(), *await asyncio.gather(*(warm_task(each) for each in range(number)))]


@warm.task
async def warm_deep(depth: int) -> int:
    return 1 + await warm_deep(depth - 1) if depth else 0


@warm.task
async def warm_prints(text: str) -> int:
    print(text)
    return os.getpid()


@warm.task
async def warm_dies(now: bool) -> int:
    if now:
        os._exit(7)
    return os.getpid()


@warm_sync.task
def warm_sync_task(number: int) -> int:
    return os.getpid()


@warm_sync.task
def warm_sync_deep(depth: int) -> int:
    return 1 + warm_sync_deep(depth - 1) if depth else 0


@red.task
def counts_beside_it(folder: str, number: int) -> int:
    """How many others run at this time."""
    mine = Path(folder, str(number))
    mine.touch()
    time.sleep(0.02)
    count = len(os.listdir(folder))
    mine.unlink()
    return count


@red.task
async def counts_many(folder: str, count: int) -> list[int]:
    return list(await asyncio.gather(*(counts_beside_it.aio(folder, number) for number in range(count))))


@warm_sync.task(timeout=timedelta(seconds=0.3))
def warm_never_ends() -> int:
    time.sleep(600)
    return 1


@red.task
async def survives_a_worker() -> list[int]:
    first = await warm_dies(False)
    codes = []
    for task, arguments in ((warm_dies, (True,)), (warm_never_ends.aio, ())):
        try:
            await task(*arguments)
        except RuntimeUserError as error:
            codes.append({"ProcessDied": 1, "MAX_RUNTIME_EXCEEDED": 2, "MaxRuntimeExceededError": 2}[error.code])
        except Exception as error:
            codes.append(2 if "time" in str(error) else 0)
    return [first, await warm_dies(False), *codes, await warm_sync_task.aio(1)]


@red.task
async def prints_in_turn() -> list[int]:
    return list(await asyncio.gather(warm_prints("one"), warm_prints("two")))


def isolated(**settings: Any) -> Runner:
    return flyte.with_runcontext(isolated=True, **settings)


def result_of(task: Any, *args: Any) -> Any:
    return isolated().run(task, *args).outputs().o0


def log_of(home: Path, action: str = "a0") -> str:
    return "\n".join(line.text for line in LogReader(home, "r", action, 1).new_lines())


def test_each_attempt_has_the_variables_of_its_own_environment() -> None:
    with pytest.raises(RuntimeUserError, match="COLOUR"):
        flyte.run(red_task)
    mine, colour, other, point, again, pid = result_of(red_task)
    assert (mine, colour, point, again) == ("red", "blue", "2", "blue")
    assert len({other, pid, str(HERE)}) == 3
    assert "COLOUR" not in os.environ


def test_variables_of_the_run_win_over_those_of_environments() -> None:
    assert isolated(env_vars={"COLOUR": "green"}).run(blue_sync).outputs().o0 == "green"
    assert "COLOUR" not in os.environ


def test_actions_are_those_of_a_run_in_one_process(flyte_home: Path) -> None:
    isolated(name="r").run(red_task)
    with StoreReader(flyte_home) as reader:
        actions = reader.list_actions(reader.load_run("r"))
    kinds = sorted((action.task_name, action.group_name) for action in actions)
    assert kinds == [("blue.blue_sync", None), ("blue.blue_task", "g"), ("red.red_task", None), ("traced", None)]
    assert {action.phase for action in actions} == {ActionPhase.SUCCEEDED}


def test_what_it_starts_prints_into_its_log_too(flyte_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    isolated(name="r").run(prints, 0)
    for text in ("from Python", "from a program", "from a \ufffd descriptor"):
        assert text in log_of(flyte_home)
    assert "from a program" in capfd.readouterr().out


def test_a_hundred_megabytes_of_output_arrive(flyte_home: Path) -> None:
    count = 100_000
    isolated(name="r").run(prints, count)
    log = next(flyte_home.rglob("*.log"), None) or max(flyte_home.rglob("*"), key=lambda path: path.stat().st_size)
    assert log.stat().st_size > 1000 * count


def test_sync_tasks_run_at_the_same_time(tmp_path: Path) -> None:
    first, second = result_of(both, str(tmp_path))
    assert first != second


def test_an_async_task_that_blocks_its_loop_is_killed_at_its_limit() -> None:
    with pytest.raises(Exception, match="time"):
        result_of(blocks_its_loop)


def test_attempts_after_a_kill_go_on_from_the_checkpoint(tmp_path: Path) -> None:
    assert result_of(dies_twice, str(tmp_path)) == "01"


@pytest.mark.parametrize(
    ("task", "code", "message"),
    [
        (segfaults, "ProcessDied", "killed by SIGSEGV"),
        (uses_all_memory, "MemoryError", None),
        (exits, "SystemExit", "3"),
    ],
)
def test_a_broken_task_fails_its_attempt_and_says_how(task: Any, code: str, message: str) -> None:
    with pytest.raises(RuntimeUserError, match=message) as caught:
        result_of(task)
    assert caught.value.code == code


@pytest.mark.parametrize("how", ["fork", "spawn"])
@pytest.mark.parametrize("task", [leaves_one, warm_leaves_one])
def test_the_death_of_a_process_is_seen_while_something_it_has_started_lives_on(
    tmp_path: Path, task: Any, how: str
) -> None:
    begun = time.monotonic()
    try:
        with pytest.raises(RuntimeUserError, match="killed by SIGKILL"):
            result_of(task.override(timeout=timedelta(seconds=30)), str(tmp_path), how)
        assert time.monotonic() - begun < 25
    finally:
        for path in tmp_path.iterdir():
            os.kill(int(path.name), signal.SIGKILL)


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    with pytest.raises(RuntimeUserError, match="was killed by signal 40 ") as caught:
        result_of(is_killed_by, 40)
    assert caught.value.code == "ProcessDied"


def test_bytes_that_a_task_prints_are_in_its_log(flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    isolated(name="r").run(prints_bytes)
    assert log_of(flyte_home) == "written as bytes"


def test_what_a_task_forked_dies_with_it() -> None:
    assert are_gone(result_of(forks))


def test_a_report_is_written(flyte_home: Path) -> None:
    isolated(name="r").run(reports)
    assert "seen" in (flyte_home / "runs" / "r" / "a0" / "report.html").read_text()


def test_a_task_of_a_function_body_is_sent_with_its_code() -> None:
    env = flyte.TaskEnvironment(name="local")
    number = 41

    @env.task
    async def inside(more: int) -> list[int]:
        return [number + more, os.getpid()]

    value, pid = result_of(inside, 1)
    assert value == 42
    assert pid != HERE


def test_a_task_that_holds_a_lock_cannot_be_sent_and_says_so() -> None:
    env = flyte.TaskEnvironment(name="local")
    lock = threading.Lock()

    @env.task
    def inside() -> bool:
        return lock.locked()

    with pytest.raises(RuntimeUserError, match="cannot be pickled either") as caught:
        result_of(inside)
    assert caught.value.code == "TaskNotPicklable"


def test_secrets_reach_the_task_and_no_byte_that_is_written(
    flyte_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from flyte._store.secrets import SecretStore

    value, in_file = "hush-4f1c9a", "hush-file-77"
    monkeypatch.setenv("ISO_SECRET", value)
    SecretStore(flyte_home).put("file-key", "team", in_file.encode())
    kept = {path for path in flyte_home.rglob("*") if path.is_file()}
    folders = [flyte_home, Path("/dev/shm")] if Path("/dev/shm").is_dir() else [flyte_home]
    assert isolated(name="r").run(uses_secrets, False).outputs().o0 == len(value) + len(in_file)
    with pytest.raises(RuntimeUserError, match="no secrets here"):
        isolated(name="r2").run(uses_secrets, True)
    searched = 0
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file() and path not in kept):
        content = path.read_bytes()
        searched += len(content)
        for secret in (value, in_file):
            assert secret.encode() not in content, path
    assert searched > 10_000
    assert not list(Path("/dev/shm").glob("flyte-secrets-*"))


def test_a_secret_that_is_nowhere_names_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISO_SECRET", raising=False)
    with pytest.raises(RuntimeUserError, match="flyte create secret iso-key") as caught:
        result_of(uses_secrets, False)
    assert caught.value.code == "SecretNotFound"


def test_a_reused_worker_runs_many_actions_in_one_process() -> None:
    pids = result_of(warm_wide, 50)
    assert len(set(pids)) == 1
    assert pids[0] != HERE


def test_actions_that_wait_for_one_another_never_use_up_a_worker() -> None:
    assert result_of(warm_deep, 20) == 20
    assert result_of(warm_sync_deep, 5) == 5


def test_one_that_waits_for_many_calls_lends_one_place(tmp_path: Path) -> None:
    counts = result_of(counts_many, str(tmp_path), 5 * LIMIT)
    assert len(counts) == 5 * LIMIT
    assert max(counts) <= LIMIT


def test_what_a_reused_worker_prints_goes_to_the_log_of_its_action(flyte_home: Path) -> None:
    first, second = isolated(name="r").run(prints_in_turn).outputs().o0
    assert first == second
    with StoreReader(flyte_home) as reader:
        names = [each.name for each in reader.list_actions(reader.load_run("r")) if "warm" in each.task_name]
    assert sorted(log_of(flyte_home, name).strip() for name in names) == ["one", "two"]


def test_a_worker_that_dies_fails_its_actions_and_another_takes_its_place() -> None:
    first, second, died, late, last = result_of(survives_a_worker)
    assert first != second
    assert (died, late) == (1, 2)
    assert last not in (first, second)


PROGRAM = """
import os, sys, time
from pathlib import Path
import flyte

BEFORE

env = flyte.TaskEnvironment(name="p", env_vars={"P": "1"})

@env.task
def one() -> int:
    return os.getpid()

@env.task
def waits(folder: str) -> int:
    Path(folder, str(os.getpid())).touch()
    Path(folder, str(os.getppid())).touch()
    if not Path(folder, "go").exists():
        time.sleep(600)
    return 5

if __name__ == "__main__":
    if sys.argv[1:]:
        print(flyte.with_runcontext(isolated=True, name="r").run(waits, sys.argv[1]).outputs().o0)
    else:
        print(flyte.with_runcontext(isolated=True).run(one).outputs().o0 != os.getpid())
"""


def run_program(folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    script = folder / "program.py"
    script.write_text(PROGRAM.replace("BEFORE", before))
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "before",
    [
        "import threading; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "print('imported')",
        "if os.fork() == 0: os._exit(0)",
        "if __name__ == '__mp_main__' and not os.environ.get('P'): raise LookupError('only outside')",
    ],
    ids=["starts a thread", "prints", "forks", "reads its variables"],
)
def test_a_module_that_does_odd_things_when_it_is_imported_still_runs(tmp_path: Path, before: str) -> None:
    done = run_program(tmp_path, before)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True"


def test_what_a_module_prints_when_it_is_imported_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    done = run_program(tmp_path, "print('imported as', __name__)")
    assert sorted(done.stdout.splitlines()) == ["True", "imported as __main__", "imported as __mp_main__"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("raise LookupError('at import')", "LookupError: at import"),
        ("sys.exit(4)", r"sys.exit(4) was called"),
        ("os._exit(4)", "ended with exit code 4"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
    ],
)
def test_a_module_that_fails_when_it_is_imported_there_fails_the_attempt(
    tmp_path: Path, what: str, message: str
) -> None:
    done = run_program(tmp_path, f"if __name__ == '__mp_main__':\n    {what}")
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_servers_and_processes_end_with_their_owner_and_the_run_goes_on_isolated(
    tmp_path: Path, flyte_home: Path, sent: signal.Signals
) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.replace("BEFORE", ""))
    with subprocess.Popen(
        [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        deadline = time.monotonic() + 30
        while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        pids = [int(path.name) for path in folder.iterdir()]
        assert len(pids) == 2
        program.send_signal(sent)
        assert are_gone(pids, within_s=15)
        program.communicate(timeout=15)
    (folder / "go").touch()
    done = subprocess.run(
        [sys.executable, "-c", "from flyte.cli import main; main()", "resume", "r"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    later = {int(path.name) for path in folder.iterdir() if path.name != "go"} - set(pids)
    assert len(later) == 2


MAIN = """
import os
import sys
import flyte
IMPORT

env = flyte.TaskEnvironment(name="m")

@env.task
def leaf(x: int) -> list[int]:
    return [x + 1, os.getpid()]

@env.task
async def root(x: int) -> list[int]:
    return await leaf.override(short_name="other").aio(x) + await leaf.aio(x)

if __name__ == "__main__":
    one, first, two, second = flyte.with_runcontext(isolated=True).run(root, 1).outputs().o0
    print(one, two, len({first, second, os.getpid()}))
"""


@pytest.mark.parametrize("how", ["stdin", "-c", "package", "folder", "module"])
def test_a_program_is_found_however_it_was_started(tmp_path: Path, how: str) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").touch()
    relative = MAIN.replace("IMPORT", "from . import helper")
    (package / "__main__.py").write_text(relative)
    (package / "prog.py").write_text(relative)
    folder = tmp_path / "folder"
    folder.mkdir()
    plain = MAIN.replace("IMPORT", "")
    (folder / "__main__.py").write_text(plain)
    arguments, text = {
        "stdin": (["-"], plain),
        "-c": (["-c", plain], None),
        "package": (["-m", "pkg"], None),
        "folder": (["folder"], None),
        "module": (["-m", "pkg.prog"], None),
    }[how]
    done = subprocess.run(
        [sys.executable, *arguments], input=text, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 2 3\n"


def test_secrets_of_a_killed_run_are_removed_by_the_next_one(flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flyte._controller.secret_files import _folder_in_memory
    from flyte._store.secrets import SecretStore

    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    left = _folder_in_memory() / f"flyte-secrets-{gone.pid}-x"
    alive = _folder_in_memory() / f"flyte-secrets-{os.getppid()}-x"
    for folder in (left, alive):
        folder.mkdir()
        (folder / "key").write_text("value")
    try:
        monkeypatch.setenv("ISO_SECRET", "x")
        SecretStore(flyte_home).put("file-key", "team", b"y")
        assert result_of(uses_secrets, False) == 2
        assert not left.exists()
        assert alive.exists()
    finally:
        for path in (alive / "key", alive):
            path.unlink() if path.is_file() else path.rmdir()


LOGS = """
import logging
import flyte

logging.basicConfig(level=logging.INFO)
env = flyte.TaskEnvironment(name="logs", reusable=flyte.ReusePolicy(replicas=1))

@env.task
def main() -> int:
    logging.info("said in a worker")
    return 1
"""


def test_handlers_that_a_module_makes_write_to_the_log_of_the_action_in_workers_too(
    tmp_path: Path, flyte_home: Path
) -> None:
    (tmp_path / "logs.py").write_text(LOGS)
    command = [sys.executable, "-c", "from flyte.cli import main; main()"]
    command += ["run", "--local", "--isolated", "--name", "r", "logs.py", "main"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "said in a worker" in log_of(flyte_home)


def test_more_attempts_wait_than_this_process_had_descriptors_for(tmp_path: Path) -> None:
    script = tmp_path / "wide.py"
    script.write_text(
        "import asyncio, resource\nimport flyte\n"
        "env = flyte.TaskEnvironment(name='w')\n"
        "@env.task\nasync def leaf(x: int) -> int:\n    return x\n"
        "@env.task\nasync def middle(x: int) -> int:\n    return await leaf(x)\n"
        "@env.task\nasync def root(n: int) -> int:\n"
        "    return len(await asyncio.gather(*(middle(x) for x in range(n))))\n"
        "if __name__ == '__main__':\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "    print(flyte.with_runcontext(isolated=True).run(root, 100).outputs().o0)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "100\n"
