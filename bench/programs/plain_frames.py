"""What pyarrow and numpy take themselves to write a value to a file and read it. Arguments: what, and how much."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from passed import frame_of


def frame_s(rows: int, folder: Path) -> float:
    frame = frame_of(rows)
    began = time.perf_counter()
    pq.write_table(pa.Table.from_pandas(frame), folder / "plain.parquet")
    pq.read_table(folder / "plain.parquet").to_pandas()
    return time.perf_counter() - began


def array_s(mib: int, folder: Path) -> float:
    array = np.random.default_rng(0).random(mib << 17)
    began = time.perf_counter()
    np.save(folder / "plain.npy", array)
    np.load(folder / "plain.npy")
    return time.perf_counter() - began


def main() -> None:
    what, size = sys.argv[1], int(sys.argv[2])
    measure = frame_s if what == "frame" else array_s
    with tempfile.TemporaryDirectory(dir=os.environ["SCRATCH"]) as scratch:
        measure(10 if what == "frame" else 1, Path(scratch))
        print(json.dumps({"seconds": measure(size, Path(scratch))}))


if __name__ == "__main__":
    main()
