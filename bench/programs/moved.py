"""Files and folders up and down, beside the plain calls; ours only. Arguments: what, how much, where."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
from obstore.store import LocalStore, from_url

import flyte
from flyte.io import Dir, File
from flyte.storage import S3

env = flyte.TaskEnvironment(name="moved")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
ENDPOINT = os.environ.get("S3_ENDPOINT", "")
KEYS: dict[str, Any] = {"access_key_id": "test", "secret_access_key": "secret-of-tests", "region": "us-east-1"}
SMALL_FILE_BYTES = 1_000
LOOPED_AT_MOST = 500


def timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def plain_store(prefix: str) -> Any:
    if not ENDPOINT:
        folder = Path(prefix)
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder)
    config: Any = {"endpoint": ENDPOINT, **KEYS}
    return from_url(prefix, config=config, client_options={"allow_http": True})


def plain_get(store: Any, key: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for chunk in obstore.get(store, key).stream(min_chunk_size=8 << 20):
            file.write(chunk)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@env.task
def one_file(mib: int, prefix: str) -> dict[str, list[float]]:
    """Seconds of a file of so many MiB, up and down, by turns with obstore's own calls."""
    seconds: dict[str, list[float]] = {"up": [], "plain_up": [], "down": [], "plain_down": []}
    with tempfile.TemporaryDirectory(dir=os.environ["SCRATCH"]) as scratch:
        source = Path(scratch, "source.bin")
        with source.open("wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1 << 20))
        store = plain_store(f"{prefix}/plain" if ENDPOINT else f"{scratch}/plain")
        for round_no in range(ROUNDS + 1):
            made: list[File[Any]] = []
            times = {
                "plain_up": timed(lambda: obstore.put(store, "source.bin", source)),
                "up": timed(lambda: made.append(File.from_local_sync(source))),  # noqa: B023 (called at once)
                "plain_down": timed(lambda: plain_get(store, "source.bin", Path(scratch, "plain.bin"))),
                "down": timed(lambda: made[0].download_sync(f"{scratch}/down.bin")),  # noqa: B023
            }
            if round_no:
                for name, value in times.items():
                    seconds[name].append(value)
            if not ENDPOINT:
                Path(made[0].path).unlink()
            Path(scratch, "down.bin").unlink()
    return seconds


@env.task
def one_folder(count: int, prefix: str) -> dict[str, list[float]]:
    """Seconds of a folder of so many small files, by turns with one object after the other, or with `copytree`."""
    seconds: dict[str, list[float]] = {"up": [], "plain_up": [], "down": [], "plain_down": []}
    with tempfile.TemporaryDirectory(dir=os.environ["SCRATCH"]) as scratch:
        source = Path(scratch, "source")
        for number in range(count):
            path = source / f"{number // 100:03}" / f"{number:05}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SMALL_FILE_BYTES))
        paths = sorted(path for path in source.rglob("*") if path.is_file())
        store = plain_store(f"{prefix}/plain" if ENDPOINT else f"{scratch}/store")
        looped = paths[:LOOPED_AT_MOST]
        scale = len(paths) / len(looped)

        def loop_up() -> None:
            for path in looped:
                obstore.put(store, path.relative_to(source).as_posix(), path)

        def loop_down() -> None:
            for path in looped:
                plain_get(store, path.relative_to(source).as_posix(), Path(scratch, "looped", path.name))

        # Nothing is deleted before the end: ext4 takes seconds to make files where many were deleted just before.
        for round_no in range(ROUNDS + 1):
            made: list[Dir[Any]] = []
            copied, again, down = (f"{scratch}/{name}-{round_no}" for name in ("copied", "again", "down"))

            def plain() -> dict[str, float]:
                if ENDPOINT:
                    return {"plain_up": timed(loop_up) * scale, "plain_down": timed(loop_down) * scale}
                return {
                    "plain_up": timed(lambda: shutil.copytree(source, copied)),  # noqa: B023 (called at once)
                    "plain_down": timed(lambda: shutil.copytree(copied, again)),  # noqa: B023
                }

            def ours() -> dict[str, float]:
                return {
                    "up": timed(lambda: made.append(Dir.from_local_sync(source))),  # noqa: B023
                    "down": timed(lambda: made[0].download_sync(down)),  # noqa: B023
                }

            measures = [plain, ours] if round_no % 2 else [ours, plain]
            for name, value in (item for measure in measures for item in measure().items()):
                if round_no:
                    seconds[name].append(value)
    return seconds


@env.task
def streamed(mib: int) -> dict[str, list[float]]:
    """MiB by which the peak of memory grows while a file of so many MiB is written and read in a stream."""
    base = peak_mib()
    file: File[Any] = File.new_remote("streamed.bin")
    block = os.urandom(1 << 20)
    with file.open_sync("wb") as writing:
        for _ in range(mib):
            writing.write(block)
    with file.open_sync("rb") as reading:
        while reading.read(1 << 20):
            pass
    return {"grown_mib": [peak_mib() - base]}


def main() -> None:
    what, size, prefix = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if ENDPOINT:
        flyte.init(storage=S3(endpoint=ENDPOINT, **KEYS))
    runner = flyte.with_runcontext(raw_data_path=prefix)
    match what:
        case "file":
            run = runner.run(one_file, size, prefix)
        case "folder":
            run = runner.run(one_folder, size, prefix)
        case _:
            run = runner.run(streamed, size)
    print(json.dumps(run.outputs()[0]))


if __name__ == "__main__":
    main()
