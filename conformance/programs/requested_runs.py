"""A program that does with a control plane what programs do; both releases run it, and their requests are compared.

Arguments: the endpoint.
"""

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flyte
import flyte.remote
from flyte.io import Dir, File

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
env = flyte.TaskEnvironment(
    name="digits",
    image="python:3.11",
    env_vars={"A": "1"},
    resources=flyte.Resources(cpu=1, memory="256Mi"),
    description="Some digits.",
)
other = flyte.TaskEnvironment(name="letters", image="python:3.11", depends_on=[env])


@dataclass
class Point:
    """Two numbers."""

    x: int
    y: float


@env.task(cache="auto", retries=2, timeout=60)
async def double(x: int, y: str = "a") -> int:
    """Twice as much."""
    return 2 * x


@env.task(report=True, short_name="many")
async def many(
    numbers: list[int], named: dict[str, float], point: Point, flag: bool, nothing: str | None = None
) -> tuple[int, str]:
    return len(numbers), str(point)


@env.task
async def read(source: File, folder: Dir) -> str:
    return source.path


@other.task(
    triggers=(
        flyte.Trigger(
            "noon",
            flyte.Cron("0 12 * * *", timezone="Europe/Berlin"),
            inputs={"x": flyte.TriggerTime, "y": "k"},
            env_vars={"E": "1"},
            interruptible=True,
            overwrite_cache=True,
            queue="q",
            max_action_concurrency=3,
            labels={"l": "1"},
            annotations={"a": "b"},
            custom_context={"c": "d"},
            description="At noon",
        ),
        flyte.Trigger("rate", flyte.FixedRate(5, start_time=WHEN), inputs={"x": WHEN}, auto_activate=False),
        flyte.Trigger("hand", inputs={"x": WHEN}),
    )
)
async def timed(x: datetime, y: str = "a") -> int:
    return 1


def start_runs() -> Any:
    """Runs with every setting."""
    flyte.run(double, x=3)
    flyte.run(many, numbers=[1, 2], named={"a": 1.5}, point=Point(1, 2.5), flag=True)
    flyte.with_runcontext(
        name="named",
        version="v7",
        labels={"l": "1"},
        annotations={"a": "1"},
        env_vars={"B": "2"},
        queue="q",
        interruptible=True,
        overwrite_cache=True,
        service_account="account",
        max_action_concurrency=4,
        raw_data_path="s3://bucket/raw",
        run_base_dir="s3://bucket/base",
        custom_context={"c": "d"},
        cache_lookup_scope="project-domain",
        log_level=10,
        user_log_level=40,
        log_format="json",
        reset_root_logger=True,
    ).run(double, x=3, y="b")
    flyte.with_runcontext(project="elsewhere", domain="staging").run(double, x=4)
    flyte.with_runcontext(interruptible=False).run(double.override(retries=5, queue="slow"), x=5)
    run = flyte.run(double, x=6)
    run.wait(quiet=True)
    run.outputs()
    run.inputs()
    return run


def look_at(run: Any) -> None:
    """What a person asks about runs."""
    remote = flyte.remote
    found = remote.Run.get(run.name)
    found.details()
    asyncio.run(found.action.details()) if hasattr(found, "action") else None
    list(
        remote.Run.listall(
            limit=60,
            in_phase=("failed", "running"),
            task_name="digits.double",
            task_version="v7",
            created_by_subject="ada",
            sort_by=("created_at", "desc"),
            created_at=remote.TimeFilter(after=WHEN),
            with_labels={"l": "1"},
            with_label_keys=["k"],
        )
    )
    list(remote.Run.listall(limit=60, sort_by=("created_at", "asc"), paused_actions_only=True))
    list(remote.Action.listall(run.name, in_phase=("succeeded",), parent_name="a0"))
    list(remote.Condition.listall(run.name))
    list(run.get_logs())
    run.abort("enough")
    remote.Action.get(run_name=run.name, name="a0").abort("too")


def run_again(run: Any) -> None:
    """Reruns and recoveries."""
    flyte.rerun(run.name)
    flyte.rerun(run.name, y="zz")
    flyte.rerun(run.name, recover=True, force_rerun_actions=["a1"])


def deploy_and_use() -> None:
    """Deployed tasks and their triggers."""
    remote = flyte.remote
    flyte.deploy(other, version="v1")
    task = remote.Task.get("digits.double", auto_version="latest")
    flyte.run(task, x=1)
    flyte.run(remote.Task.get("digits.double", version="v1").override(retries=flyte.RetryStrategy(3)), x=2)
    list(remote.Task.listall(by_task_name="digits.double", sort_by=("created_at", "desc"), limit=60))
    list(remote.Task.listall(by_task_env="digits", sort_by=("created_at", "desc"), entrypoint=True))
    late = flyte.Trigger("late", flyte.Cron("0 1 * * *"), inputs={"x": flyte.TriggerTime})
    remote.Trigger.create(late, "letters.timed")
    remote.Trigger.update("late", "letters.timed", False)
    list(remote.Trigger.listall("letters.timed"))
    list(remote.Trigger.listall())
    remote.Trigger.get(name="late", task_name="letters.timed")
    remote.Trigger.delete("late", "letters.timed")


def use_the_rest() -> None:
    """Files, projects, secrets and who one is."""
    remote = flyte.remote
    folder = Path("some-data")
    (folder / "below").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "below" / "b.txt").write_text("b")
    remote.upload_file(folder / "a.txt")
    remote.upload_dir(folder, prefix="prefix")
    flyte.run(read, source=File.from_local_sync(str(folder / "a.txt")), folder=Dir.from_local_sync(str(folder)))
    remote.Project.create("new", "New", "A project", {"l": "1"})
    remote.Project.get("new")
    list(remote.Project.listall(sort_by=("id", "asc")))
    remote.Secret.create("key", "value")
    remote.Secret.create("pull", b"bytes")
    remote.Secret.get("key")
    list(remote.Secret.listall())
    remote.Secret.delete("key")
    remote.User.get()


def main(endpoint: str) -> None:
    """All of it."""
    flyte.init(endpoint=endpoint, insecure=True, project="flytesnacks", domain="development")
    run = start_runs()
    look_at(run)
    run_again(run)
    deploy_and_use()
    use_the_rest()


if __name__ == "__main__":
    main(sys.argv[1])
