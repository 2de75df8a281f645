"""Data through two tasks, on either distribution. Arguments: what (`file`, `folder`, `frame`), and how much."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import flyte
from flyte.io import Dir, File

env = flyte.TaskEnvironment(name="passed")
MAKING_S: list[float] = []
"""Seconds that the making of each value took, inside the task that makes it."""


@env.task
async def write_file(mib: int) -> File:
    file: Any = File.new_remote("passed.bin")
    block = bytes(range(256)) * 4096
    async with file.open("wb") as writing:
        for _ in range(mib):
            await writing.write(block)
    written: File = file
    return written


@env.task
async def read_file(file: File) -> int:
    size = 0
    async with file.open("rb") as reading:
        while block := await reading.read(1 << 20):
            size += len(block)
    return size


@env.task
async def write_folder(source: str, target: str) -> Dir:
    folder: Dir = await Dir.from_local(source, target)
    return folder


@env.task
async def read_folder(folder: Dir) -> int:
    size = 0
    async for file in folder.walk():
        async with file.open("rb") as reading:
            size += len(await reading.read())
    return size


@env.task
async def make_frame(rows: int) -> pd.DataFrame:
    began = time.perf_counter()
    frame = frame_of(rows)
    MAKING_S.append(time.perf_counter() - began)
    return frame


@env.task
async def use_frame(frame: pd.DataFrame) -> int:
    return len(frame)


@env.task
async def make_array(mib: int) -> np.ndarray:
    began = time.perf_counter()
    array = np.random.default_rng(0).random(mib << 17)
    MAKING_S.append(time.perf_counter() - began)
    return array


@env.task
async def use_array(array: np.ndarray) -> int:
    return int(array.shape[0])


def frame_of(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    start = np.datetime64("2024-01-01", "us")
    return pd.DataFrame(
        {
            "id": np.arange(rows, dtype=np.int64),
            "value": random.random(rows),
            "kind": pd.Series(np.array(["red", "green", "blue"])[random.integers(0, 3, rows)]),
            "at": start + random.integers(0, 10**12, rows).astype("timedelta64[us]"),
        }
    )


@env.task
async def through_two(what: str, size: int) -> float:
    """Seconds from before the first task to after the second; making the frame or array does not count."""
    with tempfile.TemporaryDirectory(dir=os.environ["SCRATCH"]) as scratch:
        source = Path(scratch, "source")
        if what == "folder":
            source.mkdir()
            for number in range(size):
                (source / f"{number:05}.bin").write_bytes(os.urandom(1_000))
        began = time.perf_counter()
        if what == "file":
            await read_file(await write_file(size))
        elif what == "folder":
            await read_folder(await write_folder(str(source), f"{scratch}/target"))
        elif what == "frame":
            await use_frame(await make_frame(size))
        else:
            await use_array(await make_array(size))
        return time.perf_counter() - began


def main() -> None:
    what, size = sys.argv[1], int(sys.argv[2])
    flyte.init()  # which the official release wants before files are written
    flyte.run(through_two, what, 1 if what != "frame" else 10)
    seconds: Any = flyte.run(through_two, what, size).outputs()[0]
    making_s = MAKING_S[-1] if MAKING_S else 0.0
    print(json.dumps({"seconds": seconds - making_s}))


if __name__ == "__main__":
    main()
