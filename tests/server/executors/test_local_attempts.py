"""Attempts as processes of this machine: how they start, what they get, how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from flyte._server.executors.orders import AttemptLostError, Capacity
from flyte._version import __version__
from tests.processes import are_gone, runs
from tests.server.executors.served import Served, eventually, failure, run, value


async def test_an_attempt_gets_its_inputs_and_leaves_outputs_and_lines(served: Served) -> None:
    spec = served.specs("""
@env.task
async def double(x: int) -> int:
    print("doubling", x)
    print("no end", end="")
    sys.stderr.write("to stderr\\n")
    return 2 * x
""")
    executor, started = served.executor(), []
    order = served.order(spec("double"), x=21)
    end = await executor.run_attempt(order, lambda: started.append(True))
    assert end.failure is None
    assert end.outputs == (Path(order.outputs_path) / "outputs.pb").read_bytes()
    assert await value(executor, served.order(spec("double"), x=4)) == 8
    assert started == [True]
    assert "".join(served.lines(order)).count("doubling 21") == 1
    assert any("to stderr" in line for line in served.lines(order))


async def test_its_variables_folder_and_names_are_those_of_the_attempt(served: Served) -> None:
    spec = served.specs(
        """
@env.task
def told() -> str:
    ctx = flyte.ctx()
    action = ctx.action
    return "|".join([
        action.name, action.run_name, action.project, action.domain, action.org, str(ctx.attempt_number),
        os.environ["OF_TASK"], os.environ["OF_RUN"], os.environ["_U_EP_OVERRIDE"], os.environ["_U_USE_ACTIONS"],
        os.environ["EXTRA"], str(os.environ.get("FLYTE_OF_SERVER")), str(os.listdir()), str(ctx.run_start_time),
        ctx.checkpoint_paths.checkpoint_path, str(ctx.checkpoint_paths.prev_checkpoint_path),
    ])
""",
        "flyte.TaskEnvironment('e', env_vars={'OF_TASK': 'task', 'OF_RUN': 'lost'})",
    )
    os.environ["FLYTE_OF_SERVER"] = "secret"
    try:
        executor = served.executor(extra_env={"EXTRA": "token"})
        task = spec("told")
        order = served.order(task, number=2, env_vars={"OF_RUN": "run"})
        told = (await value(executor, order)).split("|")
    finally:
        del os.environ["FLYTE_OF_SERVER"]
    module = f"{task.task_template.container.args[-3]}.py"
    assert told[:6] == [order.action.name, "r", "p", "d", "o", "1"]
    assert told[6:12] == ["task", "run", "localhost:30080", "1", "token", "None"]
    assert told[12:14] == [str([module]), "2026-01-02 03:04:05+00:00"]
    assert told[14:] == [order.checkpoint_path, order.prev_checkpoint]
    await eventually(lambda: not (Path(order.outputs_path) / "work").exists())


async def test_what_an_attempt_leaves_in_its_folder_stays(served: Served) -> None:
    spec = served.specs("""
@env.task
def leaves() -> str:
    open("left.txt", "w").write("here")
    return os.getcwd()
""")
    order = served.order(spec("leaves"))
    folder = Path(await value(served.executor(), order))
    assert folder == Path(order.outputs_path) / "work"
    assert (folder / "left.txt").read_text() == "here"


async def test_a_failure_is_what_the_task_raised(served: Served) -> None:
    spec = served.specs("""
@env.task
def fails() -> int:
    raise LookupError("not there")

@env.task
def for_ever() -> int:
    raise flyte.errors.NonRecoverableError("never")
""")
    executor = served.executor()
    found = await failure(executor, order := served.order(spec("fails")))
    assert (found.code, found.kind, found.message, found.recoverable) == ("LookupError", "user", "not there", True)
    assert served.lines(order)[-1] == "LookupError: not there"
    assert not (await failure(executor, served.order(spec("for_ever")))).recoverable


ENDS = """
@env.task
def killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)

@env.task
def crashes() -> int:
    print("about to crash", flush=True)
    ctypes.string_at(0)

@env.task
def leaves() -> int:
    print("leaving", flush=True)
    os._exit(3)
"""


async def test_a_process_that_dies_is_told_by_its_signal_or_its_exit_code(served: Served) -> None:
    spec, executor = served.specs(ENDS), served.executor()
    killed = await failure(executor, served.order(spec("killed")))
    assert (killed.code, killed.kind, killed.recoverable) == ("ProcessDied", "system", True)
    assert "was killed by SIGKILL" in killed.message
    assert "memory" in killed.message
    crashed = await failure(executor, order := served.order(spec("crashes")))
    assert (crashed.code, crashed.kind) == ("ProcessDied", "system")
    assert "crashed with SIGSEGV" in crashed.message
    assert served.lines(order)[:2] == ["about to crash", "Fatal Python error: Segmentation fault"]
    left = await failure(executor, served.order(spec("leaves")))
    assert (left.code, left.kind) == ("ProcessDied", "user")
    assert "ended with exit code 3" in left.message
    assert "leaving" in left.message


async def test_a_module_that_fails_to_import_fails_each_attempt(served: Served) -> None:
    spec = served.specs("""
if "_U_EP_OVERRIDE" in os.environ:
    raise ValueError("not here")

@env.task
def fine() -> int:
    return 1
""")
    executor = served.executor()
    for _ in range(3):
        found = await failure(executor, served.order(spec("fine")))
        assert (found.code, found.kind) == ("ModuleLoadError", "user")
        assert "not here" in found.message


async def test_a_bundle_that_is_not_there_fails_the_attempt(served: Served) -> None:
    spec = served.specs("@env.task\ndef fine() -> int:\n    return 1\n")("fine")
    args = spec.task_template.container.args
    args[list(args).index("--tgz") + 1] = str(served.folder / "none.tar.gz")
    found = await failure(served.executor(), served.order(spec))
    assert found.code == "CodeBundleError"
    assert "none.tar.gz" in found.message


async def test_attempts_of_one_module_are_forked_by_a_server_that_has_loaded_it(served: Served) -> None:
    loads = served.folder / "loads"
    spec = served.specs(f"""
if "_U_EP_OVERRIDE" in os.environ:
    open({str(loads)!r}, "a").write(f"{{os.getpid()}} ")

@env.task
def parent() -> int:
    return os.getppid()
""")
    executor = served.executor()
    parents = [await value(executor, served.order(spec("parent"))) for _ in range(2)]
    assert parents[0] == parents[1]
    while (last := await value(executor, served.order(spec("parent")))) == parents[0]:
        pass
    # The last one was loaded before it was forked, by the server.
    count = len(loads.read_text().split())
    assert [await value(executor, served.order(spec("parent"))) for _ in range(5)] == [last] * 5
    assert len(loads.read_text().split()) == count
    assert str(last) in loads.read_text().split()


async def test_two_bundles_with_one_module_name_do_not_meet(served: Served) -> None:
    code = "@env.task\ndef told() -> str:\n    return '{}'\n"
    first = served.specs(code.format("first"))("told")
    module = first.task_template.container.args[-3]
    sys.modules.pop(module)
    (served.project / f"{module}.py").unlink()
    second = served.specs(code.format("second"))("told")
    executor = served.executor()
    orders = [served.order(spec) for spec in (first, second) for _ in range(4)]
    assert await asyncio.gather(*(value(executor, each) for each in orders)) == ["first"] * 4 + ["second"] * 4


async def test_lines_are_in_the_log_while_the_attempt_runs(served: Served) -> None:
    spec = served.specs("""
@env.task
def prints(gate: str) -> int:
    print("first")
    while not os.path.exists(gate):
        time.sleep(0.01)
    os.write(1, b"\\xff\\xfe" * 100_000 + b"\\n")
    subprocess.run(["echo", "from a program"])
    print("drawn\\rover")
    print("x" * 200_000)
    return 1
""")
    gate, executor = served.folder / "gate", served.executor()
    order = served.order(spec("prints"), gate=str(gate))
    running = asyncio.ensure_future(run(executor, order))
    await eventually(lambda: "first" in served.lines(order))
    assert not running.done()
    gate.touch()
    assert (await running).failure is None
    lines = served.lines(order)
    assert "from a program" in lines
    assert "over" in lines
    assert max(map(len, lines)) <= 65_536
    assert sum(line.count("x") for line in lines) == 200_000
    assert sum(line.count("\ufffd") for line in lines) == 200_000


async def test_much_output_does_not_hold_up_the_loop(served: Served) -> None:
    spec = served.specs("""
@env.task
def floods() -> int:
    for _ in range(200):
        os.write(1, b"line of output\\n" * 4000)
    return 1
""")
    executor, order = served.executor(), served.order(spec("floods"))
    await executor.warm()
    running, longest = asyncio.ensure_future(run(executor, order)), 0.0
    loop = asyncio.get_running_loop()
    while not running.done():
        before = loop.time()
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - before)
    assert (await running).failure is None
    assert len(served.lines(order)) == 800_000
    assert longest < 0.5


STAYS = """
@env.task
def stays(note: str) -> int:
    child = subprocess.Popen(["sleep", "1000"])
    escaped = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open(note + ".tmp", "w") as file:
        file.write(f"{os.getpid()} {child.pid} {escaped.pid}")
    os.rename(note + ".tmp", note)
    if flyte.ctx().attempt_number:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(1000)
    return 1
"""


@pytest.mark.parametrize("number", [1, 2], ids=["running", "stopped"])
async def test_cancelling_kills_an_attempt_with_all_it_has_started(served: Served, number: int) -> None:
    spec, executor, note = served.specs(STAYS), served.executor(), served.folder / "note"
    running = asyncio.ensure_future(run(executor, served.order(spec("stays"), number=number, note=str(note))))
    await eventually(note.exists)
    pids = [int(pid) for pid in note.read_text().split()]
    assert all(map(runs, pids))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(map(runs, pids))
    # The next attempt is not touched.
    assert (await failure(executor, served.order(served.specs(ENDS)("leaves")))).code == "ProcessDied"


async def test_closing_ends_what_runs(served: Served) -> None:
    spec, executor, note = served.specs(STAYS), served.executor(), served.folder / "note"
    running = asyncio.ensure_future(run(executor, served.order(spec("stays"), note=str(note))))
    await eventually(note.exists)
    pids = [int(pid) for pid in note.read_text().split()]
    await executor.close()
    assert running.cancelled()
    assert not any(map(runs, pids))


@pytest.mark.parametrize("reusable", ["None", "flyte.ReusePolicy()"])
async def test_an_attempt_whose_fork_server_is_gone_is_lost_and_the_next_has_another(
    served: Served, reusable: str
) -> None:
    spec = served.specs(
        """
@env.task
def stays(note: str) -> int:
    open(note, "w").write(f"{os.getppid()}")
    time.sleep(1000)
    return 1

@env.task
def parent() -> int:
    return os.getppid()
""",
        f"flyte.TaskEnvironment('e', reusable={reusable})",
    )
    executor, note = served.executor(), served.folder / "note"
    running = asyncio.ensure_future(run(executor, served.order(spec("stays"), note=str(note))))
    await eventually(lambda: note.exists() and note.read_text() != "")
    os.kill(server := int(note.read_text()), signal.SIGKILL)
    with pytest.raises(AttemptLostError, match="fork server"):
        await running
    assert await value(executor, served.order(spec("parent"))) != server


async def test_fork_servers_that_nobody_wants_end_after_a_release(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyte._server.executors.servers.KEPT_UNUSED_S", -0.9)
    # Variables that an interpreter reads when it starts take a server of their own.
    code = "@env.task\ndef parent() -> int:\n    return os.getppid()\n"
    environment = "flyte.TaskEnvironment('e', env_vars={'PYTHONHASHSEED': '1'})"
    spec, other, executor = served.specs(code)("parent"), served.specs(code, environment)("parent"), served.executor()
    plain = await value(executor, served.order(spec))
    order = served.order(other)
    released = await value(executor, order)
    executor.release(order.spec_digest)
    await eventually(lambda: not runs(released))
    assert await value(executor, served.order(spec)) == plain


async def test_nothing_is_kept_of_fork_servers_that_have_ended(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte._server.executors.servers.KEPT_UNUSED_S", -0.9)
    spec, executor = served.specs("@env.task\ndef parent() -> int:\n    return os.getppid()\n"), served.executor()
    plain = await value(executor, served.order(spec("parent")))
    while await value(executor, served.order(spec("parent"))) == plain:
        # The server that has loaded the module is about to be there.
        await asyncio.sleep(0.05)
    loading = executor._servers
    assert loading._loading

    def released() -> bool:
        executor.release(b"")
        return not loading._loading

    await eventually(released)


async def test_an_attempt_that_uses_more_than_its_limit_is_ended(served: Served) -> None:
    spec = served.specs(
        """
@env.task
def fits() -> int:
    return len(bytearray(b"x") * (50 << 20))

@env.task
def grows() -> int:
    kept = []
    while len(kept) < 100:
        kept.append(bytearray(b"x") * (10 << 20))
        time.sleep(0.02)
    return 1
""",
        "flyte.TaskEnvironment('e', resources=flyte.Resources(memory=('64Mi', '200Mi')))",
    )
    executor = served.executor()
    assert await value(executor, served.order(spec("fits"))) == 50 << 20
    found = await failure(executor, served.order(spec("grows")))
    assert (found.code, found.kind) == ("OOMError", "user")
    assert "limit of 200 MiB" in found.message
    assert "MiB of memory" in found.message


async def test_no_image_is_told_with_what_to_do(served: Served) -> None:
    spec = served.specs("@env.task\ndef fine() -> int:\n    return 1\n")("fine")
    executor = served.executor()
    spec.task_template.container.image = "registry.example/nothing:1"
    found = await failure(executor, served.order(spec))
    assert (found.code, found.recoverable) == ("ImagePullBackOff", False)
    assert "registry.example/nothing:1" in found.message
    assert "--image" in found.message
    spec.task_template.container.image = "two words"
    assert (await failure(executor, served.order(spec))).code == "InvalidImageName"
    spec.task_template.container.image = "venv:0123456789"
    gone = await failure(executor, served.order(spec))
    assert gone.code == "ImagePullBackOff"
    assert "is not on this machine" in gone.message


async def test_a_task_without_an_image_runs_in_the_interpreter_of_the_server(served: Served) -> None:
    spec = served.specs(
        "@env.task\ndef told() -> str:\n    return sys.executable\n", "flyte.TaskEnvironment('e', image=None)"
    )("told")
    assert spec.task_template.container.image == ""
    assert await value(served.executor(), served.order(spec)) == sys.executable


async def test_a_release_that_cannot_be_installed_is_told(served: Served) -> None:
    spec = served.specs("@env.task\ndef fine() -> int:\n    return 1\n")("fine")
    spec.task_template.metadata.runtime.version = "1.9.0"
    found = await failure(served.executor(), served.order(spec))
    assert found.code == "ImagePullBackOff"
    assert "flyte 1.9.0" in found.message


async def test_a_program_of_its_own_is_refused(served: Served) -> None:
    spec = served.specs("@env.task\ndef fine() -> int:\n    return 1\n")("fine")
    spec.task_template.container.args[:] = ["echo", "hello"]
    found = await failure(served.executor(), served.order(spec))
    assert found.code == "ContainersNotSupported"
    assert "echo hello" in found.message


async def test_a_name_that_leads_elsewhere_is_refused(served: Served) -> None:
    spec = served.specs("@env.task\ndef fine() -> int:\n    return 1\n")("fine")
    order = served.order(spec)
    for name in ("..", "a/b", ".hidden", ""):
        object.__setattr__(order.action, "name", name)
        assert (await failure(served.executor(), order)).code == "InvalidName"


async def test_secrets_are_variables_and_files(served: Served) -> None:
    spec = served.specs(
        """
@env.task
def told() -> str:
    folder = os.environ["FLYTE_SECRETS_DIR"]
    return os.environ["PLAIN"] + "|" + open(os.path.join(folder, "g", "filed")).read()
""",
        "flyte.TaskEnvironment('e', secrets=[flyte.Secret('plain'), "
        "flyte.Secret('filed', 'g', mount='/etc/flyte/secrets')])",
    )
    asked = []

    def secrets(action: object, wanted: object) -> dict[tuple[str, str], bytes]:
        asked.append(action)
        return {("", "plain"): b"one", ("g", "filed"): b"two"}

    order = served.order(spec("told"))
    assert await value(served.executor(secrets=secrets), order) == "one|two"
    assert asked == [order.action]
    missing = await failure(served.executor(), served.order(spec("told")))
    assert missing.code == "SecretNotFound"
    assert "flyte create secret" in missing.message


async def test_the_capacity_is_what_was_said(served: Served) -> None:
    assert served.executor(capacity=Capacity(1, 2)).capacity == Capacity(1, 2)
    assert served.executor().capacity.memory_bytes > 1 << 20


OWNER = """
import asyncio, pathlib, sys
sys.path.insert(0, {root!r})
from tests.server.executors.served import Served, run

async def main():
    served = Served(pathlib.Path({folder!r}))
    spec = served.specs({code!r}, {environment!r})
    await run(served.executor(), served.order(spec("stays"), note={note!r}))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "environment", ["flyte.TaskEnvironment('e')", "flyte.TaskEnvironment('e', reusable=flyte.ReusePolicy())"]
)
async def test_nothing_is_left_when_the_server_is_killed(served: Served, tmp_path: Path, environment: str) -> None:
    note, folder = tmp_path / "note", tmp_path / "owner"
    folder.mkdir()
    root = str(Path(__file__).parents[3])
    program = OWNER.format(root=root, folder=str(folder), code=STAYS, environment=environment, note=str(note))
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", program, start_new_session=True)
    try:
        await eventually(note.exists, within_s=30)
        attempt, child, escaped = (int(pid) for pid in note.read_text().split())
        assert runs(attempt)
        assert runs(child)
        os.kill(owner.pid, signal.SIGKILL)
        assert are_gone([attempt, child], within_s=10)
    finally:
        os.kill(escaped, signal.SIGKILL)
        await owner.wait()


def test_the_version_of_a_spec_is_that_of_this_package(served: Served) -> None:
    spec = served.specs("@env.task\ndef fine() -> int:\n    return 1\n")("fine")
    assert spec.task_template.metadata.runtime.version == __version__


async def test_an_attempt_gives_way_to_the_server(served: Served) -> None:
    spec = served.specs("""
@env.task
def niceness() -> int:
    return os.nice(0)
""")
    assert await value(served.executor(), served.order(spec("niceness"))) == min(os.nice(0) + 5, 19)
