"""Frames between tasks of a run: copies of their own, cache hits, resumed runs, and an object store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import flyte
import flyte.errors
from flyte.io import DataFrame
from flyte.models import ActionPhase
from flyte.storage._settings import use_storage

if TYPE_CHECKING:
    from tests.s3 import S3Server

env = flyte.TaskEnvironment(name="frames_runs")
computed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_computed() -> Iterator[None]:
    computed.clear()
    yield
    use_storage(None)


def rows() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "s": pd.Categorical(["x", None, "x"])})


@dataclasses.dataclass
class Split:
    train: DataFrame
    name: str


@env.task
async def make() -> pd.DataFrame:
    return rows()


@env.task
async def spoil(frame: pd.DataFrame) -> int:
    frame.loc[0, "a"] = 99
    return int(frame["a"].sum())


@env.task
def total(frame: pl.DataFrame) -> int:
    return int(frame["a"].sum())


@env.task
async def lazily(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(pl.col("a") > 1)


@env.task
async def names(table: Annotated[pa.Table, {"s": str}]) -> list[str]:
    return list(table.column_names)


@env.task
async def read_split(split: Split, maybe: Optional[pd.DataFrame] = None) -> int:
    frame = await split.train.open(pd.DataFrame).all()
    return len(frame) + (0 if maybe is None else len(maybe))


@env.task
async def main() -> tuple[int, int, int, list[str], int]:
    frame = await make()
    spoilt = await spoil(frame)
    rest: Any = await lazily(frame)
    split = Split(DataFrame.from_df(frame), "train")
    return (
        spoilt,
        await total.aio(frame),
        await total.aio(rest),
        await names(frame),
        await read_split(split, frame),
    )


def test_tasks_exchange_frames_and_each_gets_its_own() -> None:
    assert flyte.run(main).outputs() == (104, 6, 5, ["s"], 6)


def test_frame_goes_into_a_run_and_comes_out_of_it() -> None:
    run = flyte.run(lazily, rows())
    assert run.outputs()[0].collect()["a"].to_list() == [2, 3]
    reference = flyte.run(read_split, Split(DataFrame.from_df(rows()), "x")).outputs()[0]
    assert reference == 3


@env.task(cache="auto")
async def counted(frame: pd.DataFrame) -> int:
    computed.append("counted")
    return len(frame)


@env.task
async def count_twice() -> int:
    return await counted(rows()) + await counted(rows())


def test_equal_frame_hits_the_cache_in_another_run() -> None:
    assert flyte.run(counted, rows()).outputs()[0] == 3
    assert flyte.run(counted, rows()).outputs()[0] == 3
    assert flyte.run(count_twice).outputs()[0] == 6
    assert computed == ["counted"]
    assert flyte.run(counted, rows().head(1)).outputs()[0] == 1
    assert computed == ["counted", "counted"]


class Broken(Exception):
    pass


broken: list[bool] = [True]


@env.task
async def once(frame: pd.DataFrame) -> pd.DataFrame:
    computed.append("once")
    return frame.assign(b=frame["a"] * 2)


@env.task
async def resumable() -> int:
    frame = await once(await make())
    again = await once(frame)
    if broken[0]:
        raise Broken
    return len(again)


def test_resumed_run_meets_the_children_that_took_frames() -> None:
    broken[0] = True
    with pytest.raises(flyte.errors.RuntimeUserError):
        flyte.with_runcontext(name="frames-resumed").run(resumable)
    assert computed == ["once", "once"]
    broken[0] = False
    assert flyte.resume("frames-resumed").outputs()[0] == 3
    assert computed == ["once", "once"]


def test_child_that_takes_another_kind_of_value_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="input 'frame' expects"):
        flyte.run(counted, [1, 2])


def test_frame_that_cannot_be_stored_fails_its_task_with_the_column() -> None:
    @env.task
    async def mixed() -> pd.DataFrame:
        return pd.DataFrame({"mixed": [1, "x"]})

    with pytest.raises(flyte.errors.RuntimeUserError, match="column 'mixed' cannot be stored"):
        flyte.run(mixed)


@pytest.mark.parametrize("protocol", ["s3", "memory"])
def test_frames_travel_through_other_storage(request: pytest.FixtureRequest, protocol: str) -> None:
    if protocol == "s3":
        from tests.s3 import settings

        server: S3Server = request.getfixturevalue("s3")
        bucket = server.new_bucket()
        use_storage(settings(server.url))
        raw = f"s3://{bucket}/raw"
    else:
        raw = "memory://frames/raw"
    run = flyte.with_runcontext(raw_data_path=raw).run(main)
    assert run.outputs() == (104, 6, 5, ["s"], 6)
    if protocol == "s3":
        keys = server.keys(bucket)
        assert len(keys) == 2
        assert all(key.startswith("raw/") and key.endswith("/00000") for key in keys)


def test_no_frame_is_stored_twice_in_a_run(flyte_home: Path) -> None:
    run = flyte.run(main)
    assert run.phase == ActionPhase.SUCCEEDED
    folders = [path for path in flyte_home.rglob("00000") if path.is_file()]
    assert len({path.read_bytes() for path in folders}) == len(folders) == 2
