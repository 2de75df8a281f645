"""Data: files and folders beside the plain calls, frames and arrays beside their libraries, and all beside the official
release. The S3 server is moto's, on loopback, behind a proxy that answers each request 10 ms late where that is said.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from _harness import Bench, Figure, Interpreter, bench

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faulty_proxy import faulty_proxy, late
from tests.s3 import s3_server

FILE_MIB = 1024
S3_FILE_MIB = int(os.environ.get("S3_FILE_MIB", "1024"))
SMALL_FILES = 10_000
S3_SMALL_FILES = int(os.environ.get("S3_SMALL_FILES", "2000"))
LATENCY_S = 0.01


def moved(session: Bench, what: str, size: int, prefix: str, endpoint: str = "") -> dict[str, list[float]]:
    os.environ["S3_ENDPOINT"] = endpoint
    os.environ["SCRATCH"] = str(session.folder)
    os.environ["ROUNDS"] = str(2 if endpoint else session.runs)
    result: dict[str, list[float]] = json.loads(
        session.output_of(session.ours.python, "moved.py", what, str(size), prefix)
    )
    return result


def beside_plain(what: str, plain: str, seconds: dict[str, list[float]], least: float | None) -> list[Figure]:
    """Figures of both ways, which are to reach so much of the speed of the plain calls; None sets no target."""
    figures = []
    for way in ("up", "down"):
        base = seconds[f"plain_{way}"]
        figures.append(Figure(f"{what} {way}: {plain}", "s", base))
        at_most = None if least is None else median(base) / least
        figures.append(Figure(f"{what} {way}: ours", "s", seconds[way], at_most=at_most))
    return figures


def stores(session: Bench) -> list[Figure]:
    disk = str(session.folder / "raw")
    figures = [
        *beside_plain("1 GiB file, disk", "obstore", moved(session, "file", FILE_MIB, disk), 0.9),
        *beside_plain("10,000 files, disk", "copytree", moved(session, "folder", SMALL_FILES, disk), 0.8),
        Figure("1 GiB streamed, disk", "MiB", moved(session, "stream", FILE_MIB, disk)["grown_mib"], at_most=128),
    ]
    with ExitStack() as stack:
        server = stack.enter_context(s3_server())
        proxy = stack.enter_context(faulty_proxy(server.port))
        for method in ("GET", "PUT", "HEAD", "POST"):
            proxy.always(method, late(LATENCY_S))
        prefix = f"s3://{server.new_bucket()}/raw"
        streamed = moved(session, "stream", S3_FILE_MIB, prefix, server.url)["grown_mib"]
        whole = moved(session, "file", S3_FILE_MIB, prefix, server.url)
        late_files = moved(session, "folder", S3_SMALL_FILES, prefix, proxy.url)
        at_once = moved(session, "folder", S3_SMALL_FILES, prefix, server.url)
        figures += [
            *beside_plain(f"{S3_FILE_MIB} MiB file, S3", "obstore", whole, 0.9),
            *beside_plain(f"{S3_SMALL_FILES:,} files, S3 10 ms away", "one by one", late_files, 5),
            *beside_plain(f"{S3_SMALL_FILES:,} files, S3 on loopback", "one by one", at_once, None),
            Figure(f"{S3_FILE_MIB} MiB streamed, S3", "MiB", streamed, at_most=128),
        ]
    return figures


def libraries(session: Bench) -> list[Figure]:
    figures = []
    for what, size, named, most in (
        ("frame", 10_000_000, "10 million rows through two tasks", 1.15),
        ("array", 100, "100 MiB array through two tasks", 1.2),
    ):
        plain: list[float] = []
        ours: list[float] = []
        for _ in range(session.runs):
            for samples, program in ((plain, "plain_frames.py"), (ours, "passed.py")):
                output = session.output_of(session.ours.python, program, what, str(size))
                samples.append(json.loads(output)["seconds"])
        library = "pyarrow" if what == "frame" else "numpy"
        figures += [
            Figure(f"{named}: {library}", "s", plain),
            Figure(f"{named}: ours", "s", ours, at_most=most * median(plain)),
        ]
    return figures


def official(session: Bench) -> list[Figure]:
    figures = []
    for what, size, named in (
        ("file", 100, "100 MiB file written, then read by the next task"),
        ("folder", 1_000, "folder of 1,000 files copied, then read by the next task"),
        ("frame", 1_000_000, "1 million rows through two tasks"),
    ):

        def measure(interpreter: Interpreter, what: str = what, size: int = size) -> dict[str, float]:
            result: dict[str, Any] = json.loads(session.output_of(interpreter.python, "passed.py", what, str(size)))
            return result

        ours, theirs = session.in_turn(measure)
        figures.append(Figure(named, "s", ours["seconds"], theirs["seconds"], at_most_ratio=1.0))
    return figures


def main() -> None:
    with bench("data", __doc__ or "", runs=5) as session:
        os.environ["SCRATCH"] = str(session.folder)
        session.figures += [*libraries(session), *official(session), *stores(session)]


if __name__ == "__main__":
    main()
