"""Tasks for every field of a task's message, declared with what both releases have.

`TASKS` are serialized by both, one by one, and compared.
"""

import enum
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, NamedTuple, Optional, TypedDict, Union

from kubernetes.client import (
    V1Container,
    V1EnvVar,
    V1PodSpec,
    V1ResourceRequirements,
    V1Toleration,
    V1Volume,
    V1VolumeMount,
)
from pydantic import BaseModel, Field

import flyte
from flyte.io import DataFrame, Dir, File

IMAGE = flyte.Image.from_base("registry.example/base:1")
MOUNT = Path("/etc/flyte/secrets")
TASKS: List[Any] = []


def environment(name: str, **settings: Any) -> flyte.TaskEnvironment:
    """An environment with an image that needs no building, unless another is given."""
    return flyte.TaskEnvironment(name, **{"image": IMAGE, **settings})


def listed(task: Any) -> Any:
    """The task itself, after it is in `TASKS`."""
    TASKS.append(task)
    return task


# Interfaces.

plain = environment("plain")


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Point(NamedTuple):
    x: int
    y: float


class Row(TypedDict):
    a: int
    b: str


@dataclass
class Config:
    depth: int
    rate: float = 0.5
    names: Optional[List[str]] = None


DEEP = Config(2)


class Model(BaseModel):
    layers: int
    note: str = ""


@listed
@plain.task
async def nothing() -> None: ...


@listed
@plain.task
def synchronous(x: int) -> int:
    return x


@listed
@plain.task
async def scalars(i: int, f: float, s: str, b: bool, t: datetime, d: date, w: timedelta) -> str:
    return s


@listed
@plain.task
async def scalar_defaults(
    i: int = 3,
    f: float = 1.5,
    s: str = "text",
    b: bool = True,
    t: datetime = datetime(2024, 1, 2, 3, 4, 5),
    w: timedelta = timedelta(seconds=90),
) -> float:
    return f


@listed
@plain.task
async def required_and_default(z: int, a: int = 1, m: str = "", b: Optional[int] = None) -> int:
    return z


@listed
@plain.task
async def containers(
    rows: List[int], table: Dict[str, List[float]], either: Union[int, str], maybe: Optional[List[str]] = None
) -> Dict[str, int]:
    return {}


@listed
@plain.task
async def container_defaults(rows: List[int] = [1, 2], table: Dict[str, int] = {"b": 2, "a": 1}) -> List[int]:  # noqa: B006
    return rows


@listed
@plain.task
async def records(
    config: Config, model: Model, row: Row, point: Point, color: Color = Color.RED, other: Config = DEEP
) -> Model:
    return model


@listed
@plain.task
async def choices(kind: Literal["x", "y"] = "x") -> Literal["x", "y"]:
    return kind


@listed
@plain.task
async def data(file: File, folder: Dir, frame: DataFrame) -> File:
    return file


@listed
@plain.task
async def data_defaults(
    file: File = File(path="s3://bucket/x.csv"),  # noqa: B008
    folder: Optional[Dir] = None,
    files: List[File] = [],  # noqa: B006
) -> Dict[str, File]:
    return {}


@listed
@plain.task
async def optional_records(
    config: Optional[Config] = None, color: Optional[Color] = Color.GREEN, pair: tuple[int, str] = (1, "a")
) -> Optional[tuple[int, str]]:
    return pair


@listed
@plain.task
async def anything(value: Any, blob: bytes, loose: dict = {"a": 1}) -> Any:  # type: ignore[type-arg]  # noqa: B006
    return value


@listed
@plain.task
async def annotated(rows: Annotated[List[int], Field(description="many")] = []) -> Annotated[int, "count"]:  # noqa: B006
    return len(rows)


@listed
@plain.task
async def named_outputs() -> Point:
    return Point(1, 2.0)


@listed
@plain.task
async def many_outputs() -> tuple[int, str, int, int, int, int, int, int, int, int, int]:
    return 0, "", 0, 0, 0, 0, 0, 0, 0, 0, 0


# Documentation.


@listed
@plain.task
async def google_docstring(first: int, second: str = "b", third: int = 0) -> int:
    """Count the things.

    Every thing is counted once, and those
    that look alike are told apart.

    Args:
        first: How many there are at least.
        second: Which of them,
            in more lines than one.

    Returns:
        The count.
    """
    return first


@listed
@plain.task
async def numpy_docstring(first: int) -> Point:
    """Place the thing.

    Parameters
    ----------
    first : int
        How many there are.

    Returns
    -------
    x : int
        To the right.
    y : float
        Upwards.
    """
    return Point(first, 0.0)


@listed
@plain.task
async def rest_docstring(first: int) -> int:
    """Weigh the thing.

    :param first: How many there are.
    :returns: The weight.
    """
    return first


@listed
@plain.task(docs=flyte.Documentation("Said with docs."))
async def given_docs() -> None:
    """Said in the docstring."""


described = environment("described-env", description="Everything about digits.")


@listed
@described.task
async def of_described() -> None: ...


wordy = environment("wordy", description="word " * 80)


@listed
@wordy.task
async def of_wordy() -> None: ...


@listed
@environment("e" * 70).task
async def of_long_environment_name() -> None: ...


@listed
@plain.task(short_name="a short name")
async def short_name() -> None: ...


@listed
@plain.task(short_name="n" * 80)
async def long_short_name() -> None: ...


# Metadata.


@listed
@plain.task(cache="auto")
async def cached(x: int) -> int:
    return x


@listed
@plain.task(cache=flyte.Cache("override", version_override="v7", serialize=True, ignored_inputs=("y", "x")))
async def cached_by_version(x: int, y: int, z: int) -> int:
    return x


@listed
@plain.task(cache=flyte.Cache("auto", salt="pepper", max_age=timedelta(hours=2)))
async def cached_with_salt(x: int) -> int:
    """The docstring is part of the code."""
    return x  # and a comment is not


@listed
@plain.task(cache=flyte.Cache("auto", max_age=3600, ignored_inputs="x"))
async def cached_for_an_hour(x: int) -> int:
    return x


@listed
@plain.task(cache=flyte.Cache("disable", serialize=True, ignored_inputs=("x",)))
async def not_cached(x: int) -> int:
    return x


@listed
@plain.task(retries=3)
async def retried() -> None: ...


@listed
@plain.task(retries=flyte.RetryStrategy(5, flyte.Backoff(timedelta(seconds=1.5), factor=2.0, cap=timedelta(minutes=1))))
async def retried_slower() -> None: ...


@listed
@plain.task(retries=flyte.RetryStrategy(1, flyte.Backoff(timedelta(milliseconds=250))))
async def retried_evenly() -> None: ...


@listed
@plain.task(timeout=90)
async def limited() -> None: ...


@listed
@plain.task(timeout=flyte.Timeout(max_runtime=timedelta(seconds=1.25), max_queued_time=60, deadline=timedelta(hours=1)))
async def limited_in_all_ways() -> None: ...


@listed
@plain.task(timeout=flyte.Timeout(max_runtime=0, deadline=10))
async def limited_by_deadline() -> None: ...


@listed
@plain.task(report=True)
async def reporting() -> None: ...


@listed
@plain.task(interruptible=True)
async def interruptible() -> None: ...


@listed
@plain.task(entrypoint=True)
async def for_people() -> None: ...


@listed
@plain.task(queue="slow", max_inline_io_bytes=1000)
async def queued() -> None: ...


class Page:
    name = "Experiment"
    icon_uri = "https://pages.example/icon.png"

    def get_link(self, run_name: str, project: str, domain: str, **rest: Any) -> str:
        return f"https://pages.example/{project}/{domain}/{run_name}?{sorted(rest.items())}"


class Plain:
    name = "Plain"
    icon_uri = ""

    def get_link(self, **rest: Any) -> str:
        return "https://pages.example"


LINKS: Any = (Page(), Plain())


@listed
@plain.task(links=LINKS)
async def linked() -> None: ...


@listed
@plain.task(triggers=flyte.Trigger.hourly("at"))
async def triggered(at: datetime) -> None: ...


# Resources.


def sized(name: str, **resources: Any) -> None:
    """A task with these resources, as `<name>`."""
    env = environment(name, resources=flyte.Resources(**resources))

    async def use() -> None: ...

    use.__name__ = use.__qualname__ = f"use_{name}"
    globals()[use.__name__] = listed(env.task(use))


sized("cpu", cpu=2)
sized("cpu-part", cpu=0.5)
sized("cpu-text", cpu="500m", memory="512Mi")
sized("pairs", cpu=(1, "2"), memory=("1Gi", "2Gi"))
sized("disk", disk="10Gi")
sized("gpus", gpu=2)
sized("gpu-model", gpu="A100:4")
sized("gpu-80", gpu="A100_80G:1")
sized("gpu-t4", gpu="T4:1", cpu=1)
sized("gpu-shared", gpu="T4 shared:1")
sized("gpu-plain-name", gpu="B200:8")
sized("gpu-part", gpu=flyte.GPU("A100", 1, "1g.5gb"))
sized("gpu-l40", gpu=flyte.GPU("L40s", 2))
sized("tpu", gpu=flyte.TPU("V5P", "2x2x1"))
sized("tpu-lite", gpu=flyte.TPU("V5E", "2x2"))
sized("neuron", gpu="Trn1:16")
sized("amd", gpu="MI300X:1")
sized("gaudi", gpu="Gaudi1:1")
sized("apple", gpu="AppleSilicon:1")
sized("shm", shm="1Gi")
sized("shm-auto", shm="auto", gpu=1)
sized("nothing-asked")
sized("everything", cpu=(1, 4), memory=("1Gi", "4Gi"), gpu="H100:8", disk="1Ti", shm="16Gi")


# Variables, secrets, account.

full = environment(
    "full",
    env_vars={"B": "2", "A": "1", "EMPTY": ""},
    secrets=[flyte.Secret("token", group="team"), "api-key", flyte.Secret("other", as_env_var="OTHER_KEY")],
    resources=flyte.Resources(cpu=2, memory="1Gi"),
    interruptible=True,
    service_account="worker",
    cache="auto",
    queue="fast",
)


@listed
@full.task
async def of_full(x: int = 1) -> int:
    return x


@listed
@full.task(service_account="other", interruptible=False, cache="disable")
async def of_full_but() -> None: ...


@listed
@environment("secret-file", secrets=flyte.Secret("cert", group="tls", mount=MOUNT)).task
async def secret_file() -> None: ...


@listed
@environment("secret-both", secrets=flyte.Secret("cert", mount=MOUNT, as_env_var="CERT")).task
async def secret_both() -> None: ...


@listed
@environment("no-secrets", secrets=[]).task
async def no_secrets() -> None: ...


@listed
@environment("account", service_account="worker").task
async def account() -> None: ...


overridden = listed(
    scalar_defaults.override(
        short_name="changed",
        retries=4,
        timeout=7,
        cache=flyte.Cache("auto", version_override="1"),
        env_vars={"X": "y"},
        secrets="late",
        resources=flyte.Resources(cpu=3),
        service_account="late",
        queue="late",
        interruptible=True,
        entrypoint=True,
    )
)


# Reused workers.

warm = environment(
    "warm",
    reusable=flyte.ReusePolicy(
        replicas=(1, 4), idle_ttl=120, concurrency=8, scaledown_ttl=timedelta(seconds=45), scope="run"
    ),
    env_vars={"A": "1"},
    resources=flyte.Resources(cpu=1),
)


@listed
@warm.task
async def warm_task(x: int) -> int:
    return x


@listed
@environment("warm-plain", reusable=flyte.ReusePolicy()).task
def warm_plain() -> None: ...


cold = listed(warm_task.override(reusable="off", resources=flyte.Resources(cpu=2)))


# Pods.


def pod_template(**settings: Any) -> flyte.PodTemplate:
    """A template with a primary container and another one."""
    primary = V1Container(
        name="main",
        env=[V1EnvVar(name="FROM_POD", value="1"), V1EnvVar(name="A", value="pod")],
        resources=V1ResourceRequirements(limits={"smarter-devices/fuse": "1", "cpu": "9"}, requests={"memory": "9Gi"}),
        volume_mounts=[V1VolumeMount(name="scratch", mount_path="/scratch")],
        **settings,
    )
    return flyte.PodTemplate(
        primary_container_name="main",
        labels={"team": "a"},
        annotations={"note": "b"},
        pod_spec=V1PodSpec(
            containers=[V1Container(name="side", image="side:1"), primary],
            volumes=[V1Volume(name="scratch")],
            tolerations=[V1Toleration(key="k", operator="Exists", effect="NoSchedule")],
            node_selector={"pool": "big"},
            termination_grace_period_seconds=30,
        ),
    )


@listed
@environment("pod-name", pod_template="team-default").task
async def pod_name() -> None: ...


@listed
@environment("pod-labels", pod_template=flyte.PodTemplate(labels={"queue": "x"})).task
async def pod_labels() -> None: ...


@listed
@environment(
    "pod-full",
    pod_template=pod_template(),
    env_vars={"A": "task"},
    resources=flyte.Resources(cpu=(1, 2), memory="1Gi", gpu=1, disk="2Gi"),
    secrets="key",
).task
async def pod_full(x: int = 1) -> int:
    return x


@listed
@environment("pod-image", pod_template=pod_template(image="own:1")).task
async def pod_image() -> None: ...


@listed
@environment(
    "pod-plain", pod_template=flyte.PodTemplate.from_spec(V1PodSpec(containers=[V1Container(name="only")]))
).task
async def pod_plain() -> None: ...


@listed
@plain.task(pod_template="by-task")
async def pod_by_task() -> None: ...


@listed
@environment("warm-pod", reusable=flyte.ReusePolicy(1), pod_template=pod_template(image="own:1")).task
async def warm_pod() -> None: ...


# Images.


@listed
@environment("image-auto", image="auto").task
async def image_auto() -> None: ...


@listed
@environment("image-text", image="venv://anything").task
async def image_text() -> None: ...


@listed
@environment("image-none", image=None).task
async def image_none() -> None: ...


@listed
@environment("image-built", image=flyte.Image.from_debian_base(name="built").with_pip_packages("numpy")).task
async def image_built() -> None: ...


@listed
@environment("image-named", image=flyte.Image.from_ref_name("later")).task
async def image_named() -> None: ...


BUILT = {
    "image-built": "registry.example/built:1",
    "image-named": "registry.example/named:1",
    "plain": "registry.example/base:1",
}
"""Addresses of built images, by environment."""

BUILD_RUNS = {"image-built": {"org": "o", "project": "system", "domain": "production", "name": "b1"}}
"""Runs that built them."""


# Code that is found in other ways.


def made() -> Any:
    """A task that is declared in a function, and held in a variable of another name."""

    @plain.task
    async def inner(x: int) -> int:
        return x

    return inner


held = listed(made())


class Grouped:
    """Tasks that belong together."""

    @listed
    @plain.task
    async def member(x: int) -> int:
        return x
