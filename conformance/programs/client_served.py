"""What the control plane keeps: caches, data, reports, logs, conditions, aborts, reruns, deployments, listings."""

import asyncio
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from client_scenarios import equal, fresh_file, note, noted, scenario

import flyte
import flyte.errors
import flyte.remote
import flyte.report
from flyte.io import Dir, File

env = flyte.TaskEnvironment("served")


async def ended(task: Any, **inputs: Any) -> Any:
    """A run of the task, over."""
    run = await flyte.run.aio(task, **inputs)
    await run.wait.aio(quiet=True)
    return run


async def value(task: Any, **inputs: Any) -> Any:
    """The first output of a run of the task."""
    run = await ended(task, **inputs)
    await run.raise_for_status.aio()
    return (await run.outputs.aio())[0]


async def actions_of(run: Any) -> list[Any]:
    """Its actions."""
    return [each async for each in flyte.remote.Action.listall.aio(for_run_name=run.name)]


async def action_of(run: Any, task_name: str, phase: str = "running") -> Any:
    """Its first action of that task, once it is in that phase."""
    for _ in range(300):
        for each in await actions_of(run):
            if each.task_name == task_name and each.phase == phase:
                return each
        await asyncio.sleep(0.05)
    raise AssertionError(
        f"no action of {task_name} is {phase}: {[(x.task_name, x.phase) for x in await actions_of(run)]}"
    )


# Caches.


@env.task(cache=flyte.Cache("override", version_override="1", ignored_inputs=("path",)))
async def cached(path: str, x: str) -> int:
    return note(path)


@env.task
async def calls_cached(path: str, x: str) -> int:
    return await cached(path, x)


@scenario
async def cache_hit() -> None:
    path, key = fresh_file(), fresh_file()
    equal([await value(calls_cached, path=path, x=key) for _ in range(2)], [1, 1], "child")
    run = await ended(calls_cached, path=path, x=key)
    child = next(each for each in await actions_of(run) if each.task_name == "served.cached")
    status = (await child.details()).status
    equal(status.cache_status, 2, "CatalogCacheStatus of a hit")
    equal(await value(cached, path=path, x=key), 1, "root")
    equal(await value(cached, path=path, x=key + "other"), 2, "other inputs")


@scenario
async def cache_overwritten() -> None:
    path, key = fresh_file(), fresh_file()
    equal(await value(cached, path=path, x=key), 1, "first")
    run = await flyte.with_runcontext(overwrite_cache=True).run.aio(calls_cached, path=path, x=key)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], 2, "overwritten")
    equal(await value(cached, path=path, x=key), 2, "after that")


@env.task(cache=flyte.Cache("override", version_override="1", serialize=True, ignored_inputs=("path",)))
async def serialized(path: str, x: str) -> int:
    await asyncio.sleep(0.3)
    return note(path)


@env.task
async def calls_serialized(path: str, x: str) -> list[int]:
    return list(await asyncio.gather(*(serialized(path, x) for _ in range(3))))


@scenario
async def cache_serialized() -> None:
    equal(await value(calls_serialized, path=fresh_file(), x=fresh_file()), [1, 1, 1], "one of them ran")


# Data.


@env.task
async def makes_file(text: str) -> File:
    file = File.new_remote("made.txt")
    async with file.open("wb") as stream:
        await stream.write(text.encode())
    return file


@env.task
async def makes_folder(count: int) -> Dir:
    folder = Path("made")
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"file {number}")
    return await Dir.from_local(str(folder))


@env.task
async def reads(given: File, folder: Dir) -> str:
    texts = []
    made = await makes_file("between tasks")
    for file in (given, made):
        async with file.open("rb") as stream:
            texts.append(bytes(await stream.read()).decode())
    for tree in (folder, await makes_folder(2)):
        names = sorted([str(file.name) async for file in tree.walk()])
        texts.append(",".join(names))
    return "; ".join(texts)


@scenario
async def files_and_folders() -> None:
    place = Path(fresh_file())
    (place / "tree" / "deep").mkdir(parents=True)
    (place / "tree" / "deep" / "b.txt").write_text("b")
    (place / "tree" / "a.txt").write_text("a")
    (place / "given.txt").write_text("from the driver")
    given = await File.from_local(str(place / "given.txt"))
    folder = await Dir.from_local(str(place / "tree"))
    found = await value(reads, given=given, folder=folder)
    equal(found, "from the driver; between tasks; a.txt,b.txt; 0.txt,1.txt", "what the task read")
    made = await value(makes_file, text="to the driver")
    async with made.open("rb") as stream:
        equal(bytes(await stream.read()), b"to the driver", "what the driver read")
    tree = await value(makes_folder, count=3)
    equal(sorted([file.name async for file in tree.walk()]), ["0.txt", "1.txt", "2.txt"], "names")


# Reports, logs, code.


@env.task(report=True)
async def reports(text: str) -> str:
    await flyte.report.log.aio(f"<p>{text}</p>")
    flyte.report.get_tab("more").log("<b>second tab</b>")
    await flyte.report.flush.aio()
    return text


@scenario
async def report_of_a_task() -> None:
    run = await ended(reports, text="in the report")
    page = await run.get_report.aio()
    assert "in the report" in page and "second tab" in page, page[:500]


@env.task
async def talks(lines: int) -> int:
    print("on standard output")
    print("on standard error", file=sys.stderr)
    flyte.logger.warning("by the logger")
    for number in range(lines):
        print(f"line {number}")
    return lines


@scenario
async def logs() -> None:
    run = await ended(talks, lines=300)
    lines = [line async for line in run.get_logs.aio()]
    text = "\n".join(lines)
    for each in ("on standard output", "on standard error", "by the logger", "line 0", "line 299"):
        assert each in text, f"{each!r} is not in {len(lines)} lines: {text[:300]}"
    equal(sum(line.strip().startswith("line ") for line in lines), 300, "lines")


@scenario
async def code_of_a_run() -> None:
    run = await ended(talks, lines=1)
    place = await run.download_code.aio(dest=fresh_file())
    assert list(Path(place).rglob("client_served.py")), list(Path(place).rglob("*"))


# Conditions.


@env.task
async def asks(prompt: str) -> list[str]:
    go = await flyte.new_condition.aio("go", prompt=prompt, data_type=bool)
    word = await flyte.new_condition.aio("word", data_type=str)
    return [str(await go.wait.aio()), await word.wait.aio()]


async def condition_of(run: Any, name: str) -> Any:
    """The condition, once it is asked."""
    for _ in range(300):
        if (found := await flyte.remote.Condition.get.aio(name, run_name=run.name)) is not None:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"there is no condition {name}")


@scenario
async def conditions_signalled_by_the_driver() -> None:
    run = await flyte.run.aio(asks, prompt="Go?")
    go = await condition_of(run, "go")
    equal((go.phase, go.expected_type), ("ACTION_PHASE_PAUSED", bool), "condition")
    await go.signal.aio(True)
    await (await condition_of(run, "word")).signal.aio("hallo")
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], ["True", "hallo"], "answers")


@env.task
async def asks_in_vain() -> str:
    condition = await flyte.new_condition.aio("never", timeout=timedelta(seconds=1))
    try:
        await condition.wait.aio()
    except flyte.errors.ConditionTimedoutError:
        return "timed out"
    return "answered"


@scenario
async def condition_that_nobody_answers() -> None:
    equal(await value(asks_in_vain), "timed out", "outcome")


# Aborts and timeouts.


@env.task
async def sleeps(path: str, seconds: float) -> float:
    note(path)
    await asyncio.sleep(seconds)
    note(path)
    return seconds


@env.task
async def waits(path: str, seconds: float) -> str:
    try:
        await sleeps(path, seconds)
    except flyte.errors.ActionAbortedError:
        return "aborted"
    return "not aborted"


async def lines_of(path: str, count: int) -> None:
    """Nothing, once the file has that many lines."""
    for _ in range(600):
        if len(noted(path)) >= count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path} has {len(noted(path))} lines, not {count}")


@scenario
async def abort_of_a_run() -> None:
    path = fresh_file()
    run = await flyte.run.aio(waits, path=path, seconds=30.0)
    await lines_of(path, 1)
    await run.abort.aio("no longer wanted")
    await run.wait.aio(quiet=True)
    equal(run.phase, "aborted", "phase")
    equal({each.phase for each in await actions_of(run)}, {"aborted"}, "phases")
    details = await (await flyte.remote.Action.get.aio(run_name=run.name, name="a0")).details()
    assert details.abort_info and details.abort_info.reason == "no longer wanted", details.abort_info


@scenario
async def abort_of_an_action() -> None:
    path = fresh_file()
    run = await flyte.run.aio(waits, path=path, seconds=30.0)
    await lines_of(path, 1)
    await (await action_of(run, "served.sleeps")).abort.aio("this one")
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], "aborted", "what the parent saw")


@env.task
async def cancels(path: str) -> int:
    task = asyncio.create_task(sleeps(path, 30.0))
    while not noted(path):
        await asyncio.sleep(0.05)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return 1
    return 0


@scenario
async def call_that_is_cancelled_by_its_parent() -> None:
    run = await ended(cancels, path=fresh_file())
    equal((await run.outputs.aio())[0], 1, "cancelled")
    equal((await action_of(run, "served.sleeps", "aborted")).phase, "aborted", "phase")


@env.task(timeout=timedelta(seconds=1))
async def too_slow() -> None:
    await asyncio.sleep(30)


@env.task
async def catches_timeout() -> str:
    try:
        await too_slow()
    except flyte.errors.MaxRuntimeExceededError as error:
        return type(error).__name__
    return "in time"


@env.task(timeout=flyte.Timeout(max_runtime=timedelta(seconds=30), deadline=timedelta(seconds=1.5)), retries=5)
async def too_late() -> None:
    await asyncio.sleep(30)


@scenario
async def timeouts() -> None:
    equal(await value(catches_timeout), "MaxRuntimeExceededError", "what the parent saw")
    run = await ended(too_slow)
    equal(run.phase, "timed_out", "phase")
    equal((await ended(too_late)).phase, "timed_out", "phase after the deadline")
    try:
        await run.raise_for_status.aio()
    except flyte.errors.TaskTimeoutError:
        return
    raise AssertionError("raise_for_status() raised nothing")


# Reruns.


@env.task
async def counts(path: str, x: int) -> int:
    return note(path) * 0 + x


@env.task
async def fails_once(path: str, flag: str) -> int:
    found = sum(await asyncio.gather(*(counts(path, each) for each in range(3))))
    if note(flag) == 1:
        raise ValueError("the first time")
    return found


@scenario
async def rerun() -> None:
    path, flag = fresh_file(), fresh_file()
    run = await ended(fails_once, path=path, flag=flag)
    equal(run.phase, "failed", "phase")
    again = await flyte.rerun.aio(run.name)
    await again.wait.aio(quiet=True)
    equal(((await again.outputs.aio())[0], len(noted(path))), (3, 6), "sum and times that children ran")
    changed = await flyte.rerun.aio(run.name, path=fresh_file())
    await changed.wait.aio(quiet=True)
    equal(((await changed.outputs.aio())[0], len(noted(path))), (3, 6), "with an input changed")


@scenario
async def recover() -> None:
    path, flag = fresh_file(), fresh_file()
    run = await ended(fails_once, path=path, flag=flag)
    equal(run.phase, "failed", "phase")
    again = await flyte.rerun.aio(run.name, recover=True)
    await again.wait.aio(quiet=True)
    equal(((await again.outputs.aio())[0], len(noted(path))), (3, 3), "sum and times that children ran")
    phases = sorted(each.phase for each in await actions_of(again))
    equal(phases, ["recovered", "recovered", "recovered", "succeeded"], "phases")


# Deployed tasks and triggers.

shipped = flyte.TaskEnvironment("shipped")
NIGHTLY = flyte.Trigger(
    "nightly", flyte.Cron("0 3 * * *"), inputs={"x": 5, "when": flyte.TriggerTime}, auto_activate=False
)


@shipped.task
async def ship(x: int, y: int = 10) -> int:
    """Ships things."""
    return x + y


@shipped.task(triggers=NIGHTLY)
async def timed(x: int, when: datetime) -> int:
    return x


@env.task
async def calls_deployed(version: str) -> int:
    task = flyte.remote.Task.get("shipped.ship", version=version)
    return int(await task(x=1))


@scenario
async def deployed_tasks() -> None:
    version = f"v{int(time.time() * 1000)}"
    [deployment] = await flyte.deploy.aio(shipped, version=version)
    assert deployment is not None
    names = {each.name: each.version async for each in flyte.remote.Task.listall.aio(by_task_env="shipped")}
    assert {"shipped.ship", "shipped.timed"} <= names.keys(), names
    details = await flyte.remote.Task.get("shipped.ship", version=version).fetch.aio()
    equal((details.version, details.default_input_args, details.required_args), (version, ("y",), ("x",)), "details")
    latest = flyte.remote.Task.get("shipped.ship", auto_version="latest")
    equal(await value(latest, x=1), 11, "run of a deployed task")
    equal(await value(latest, x=1, y=2), 3, "with its default replaced")
    equal(await value(calls_deployed, version=version), 11, "called by a task")
    try:
        await flyte.remote.Task.get("shipped.shop", auto_version="latest").fetch.aio()
    except flyte.errors.RemoteTaskNotFoundError:
        return
    raise AssertionError("a task that is not there was found")


@scenario
async def triggers() -> None:
    await flyte.deploy.aio(shipped, version=f"t{int(time.time() * 1000)}")
    found = {each.name: each async for each in flyte.remote.Trigger.listall.aio(task_name="shipped.timed")}
    equal((found["nightly"].is_active, found["nightly"].task_name), (False, "shipped.timed"), "trigger")
    details = await flyte.remote.Trigger.get.aio(name="nightly", task_name="shipped.timed")
    equal(details.automation_spec.schedule.cron.expression, "0 3 * * *", "schedule")
    await flyte.remote.Trigger.update.aio("nightly", "shipped.timed", True)
    details = await flyte.remote.Trigger.get.aio(name="nightly", task_name="shipped.timed")
    equal(details.is_active, True, "after it was activated")
    made = await flyte.remote.Trigger.create.aio(
        flyte.Trigger("often", flyte.FixedRate(60), inputs={"x": 1, "when": flyte.TriggerTime}), "shipped.timed"
    )
    equal(made.name, "often", "name")
    run = await flyte.run.aio(details)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], 5, "run of a trigger")
    for name in ("often", "nightly"):
        await flyte.remote.Trigger.delete.aio(name, "shipped.timed")
    left = [each.name async for each in flyte.remote.Trigger.listall.aio(task_name="shipped.timed")]
    equal(left, [], "triggers that are left")


# Secrets, labels, projects, people.

private = flyte.TaskEnvironment("private", secrets=[flyte.Secret("conformance-word", as_env_var="WORD")])


@private.task
async def knows() -> str:
    return os.environ["WORD"]


mounted = flyte.TaskEnvironment("mounted", secrets=[flyte.Secret("conformance-word", mount=Path("/etc/flyte/secrets"))])


@mounted.task
async def reads_secret() -> str:
    folder = Path(os.environ.get("FLYTE_SECRETS_DIR", "/etc/flyte/secrets"))
    return ",".join(sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()))


@scenario
async def secrets() -> None:
    await flyte.remote.Secret.create.aio("conformance-word", "swordfish")
    equal(await value(knows), "swordfish", "what the task saw")
    equal(await value(reads_secret), "conformance-word", "the files that the task saw")
    equal((await flyte.remote.Secret.get.aio("conformance-word")).name, "conformance-word", "name")
    assert "conformance-word" in [each.name async for each in flyte.remote.Secret.listall.aio()]
    await flyte.remote.Secret.delete.aio("conformance-word")
    assert "conformance-word" not in [each.name async for each in flyte.remote.Secret.listall.aio()]


@env.task
async def plain(x: int = 1) -> int:
    return x


@scenario
async def labels_and_lists_of_runs() -> None:
    mark = f"m{int(time.time() * 1000)}"
    began = datetime.now(UTC)
    first = await flyte.with_runcontext(labels={"mark": mark, "team": "a"}).run.aio(plain)
    second = await flyte.with_runcontext(labels={"mark": mark, "team": "b"}).run.aio(plain)
    for run in (first, second):
        await run.wait.aio(quiet=True)

    async def names(**filters: Any) -> set[str]:
        return {each.name async for each in flyte.remote.Run.listall.aio(**filters)}

    equal(await names(with_labels={"mark": mark}), {first.name, second.name}, "by a label")
    equal(await names(with_labels={"mark": mark, "team": "b"}), {second.name}, "by two labels")
    recent = flyte.remote.TimeFilter(after=began - timedelta(seconds=5))
    assert {first.name, second.name} <= await names(task_name="served.plain", created_at=recent)
    assert first.name not in await names(in_phase=("failed",), created_at=recent)
    assert first.name in await names(in_phase=("succeeded",), created_at=recent)
    assert first.name not in await names(created_at=flyte.remote.TimeFilter(before=began - timedelta(seconds=5)))
    equal(len(await names(limit=1)), 1, "runs at a limit of 1")


@scenario
async def projects() -> None:
    name = f"p{int(time.time() * 1000)}"
    await flyte.remote.Project.create.aio(id=name, name="A project", description="of a test", labels={"a": "b"})
    equal((await flyte.remote.Project.get.aio(name)).pb2.name, "A project", "name")
    assert name in [each.pb2.id async for each in flyte.remote.Project.listall.aio()]
    await flyte.remote.Project.update.aio(name, state="archived")
    assert name not in [each.pb2.id async for each in flyte.remote.Project.listall.aio()]
    assert name in [each.pb2.id async for each in flyte.remote.Project.listall.aio(archived=True)]
    await flyte.remote.Project.update.aio(name, state="active", description="other")
    run = await flyte.with_runcontext(project=name).run.aio(plain, x=8)
    await run.wait.aio(quiet=True)
    equal(run.pb2.action.id.run.project, name, "project of a run")


@scenario
async def who_am_i() -> None:
    user = await flyte.remote.User.get.aio()
    assert user.subject() and user.name(), user


@env.task
async def calls_back() -> None:
    hook = await flyte.new_condition.aio("hook", webhook=flyte.ConditionWebhook("http://localhost:1"))
    await hook.wait.aio()


@scenario
async def what_is_not_offered_is_refused() -> None:
    remote: Any = flyte.remote
    for listing in (remote.App.listall, remote.Artifact.listall):
        try:
            _ = [each async for each in listing.aio()]
        except Exception as error:
            assert "does not offer" in str(error), error
            continue
        raise AssertionError("a service that is not there answered")
    run = await ended(calls_back)
    equal(run.phase, "failed", "phase of a run with a webhook")
    assert "webhook" in "".join([line async for line in run.get_logs.aio()])
    notify: Any = import_module("flyte.notify")
    told = notify.Webhook(on_phase="failed", url="http://localhost:1")
    try:
        await flyte.with_runcontext(notifications=told).run.aio(plain)
    except Exception as error:
        assert "notifications" in str(error), error
        return
    raise AssertionError("notifications were accepted")


@scenario
async def settings() -> None:
    found = await flyte.remote.Settings.get_settings_for_edit.aio(project="flytesnacks", domain="development")
    assert found.to_yaml()


@scenario
async def wait_until_it_runs() -> None:
    path = fresh_file()
    run: Any = await flyte.run.aio(sleeps, path=path, seconds=1.0)
    await run.wait.aio(quiet=True, wait_for="running")
    assert run.phase in ("running", "succeeded"), run.phase
    await run.wait.aio(quiet=True)
    equal(run.phase, "succeeded", "phase")
    details = await (await flyte.remote.Action.get.aio(run_name=run.name, name="a0")).details()
    phases = [each.phase for each in details.get_phase_transitions()]
    assert phases[0] == "queued" and phases[-1] == "succeeded" and "running" in phases, phases
    assert timedelta(seconds=1) <= details.runtime <= timedelta(seconds=30), details.runtime


@flyte.trace
async def noticed(x: int) -> int:
    return x * 2


@env.task(retries=1)
async def second_time(flag: str) -> int:
    if note(flag) == 1:
        raise ValueError("the first time")
    return await noticed(2)


@env.task
async def tracked(path: str, flag: str) -> int:
    return await counts(path, 1) + await second_time(flag)


@scenario
async def tracked_local_run() -> None:
    name = f"tracked-{int(time.time() * 1000)}"
    runner = flyte.with_runcontext(mode="local", name=name, tracked=True, tracked_strict=True)
    await runner.run.aio(tracked, path=fresh_file(), flag=fresh_file())
    run = await flyte.remote.Run.get.aio(name)
    equal((run.phase, (await run.outputs.aio())[0]), ("succeeded", 5), "run")
    found = {each.task_name: each for each in await actions_of(run)}
    equal({each.phase for each in found.values()}, {"succeeded"}, "phases")
    details = {task: await each.details() for task, each in found.items()}
    equal(details["served.second_time"].attempts, 2, "attempts")
    equal((await details["served.counts"].outputs())[0], 1, "output of a child")
    equal((await details["served.counts"].inputs())["x"], 1, "input of a child")
    equal(found["served.counts"].parent_name, "a0", "parent")
    traces = [each for task, each in details.items() if each.pb2.HasField("trace")]
    equal([(await each.outputs())[0] for each in traces], [4], "output of the trace")


@scenario
async def pickled_code() -> None:
    run = await flyte.with_runcontext(interactive_mode=True).run.aio(plain, x=4)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], 4, "output")


@scenario
async def all_of_a_folder_as_code() -> None:
    run = await flyte.with_runcontext(copy_style="all").run.aio(plain, x=4)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], 4, "output")


@scenario
async def condition_signalled_by_the_command_line() -> None:
    run = await flyte.run.aio(asks, prompt="Go?")
    for name, answer in (("go", "true"), ("word", "hallo")):
        condition = await condition_of(run, name)
        equal(await _command("signal", "condition", run.name, condition.action_name, answer), 0, "exit code")
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], ["True", "hallo"], "answers")


async def _command(*arguments: str) -> int:
    """Its exit code."""
    program = str(Path(sys.executable).parent / "flyte")
    done = await asyncio.to_thread(subprocess.run, [program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode
