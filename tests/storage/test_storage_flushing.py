"""What a record may point to is on the disk first, and many files cost few calls."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flyte.errors import StorageError
from flyte.storage import Local
from flyte.storage._backend import backend_of
from flyte.storage._flushing import wait_until_flushed
from flyte.storage._open_files import opened
from flyte.storage._settings import use_storage
from flyte.storage._transfer import store

flushing = sys.modules["flyte.storage._flushing"]


@dataclass
class Disk:
    """Takes the place of the disk: it remembers what was flushed, and can be held up or fail."""

    flushed: list[str] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)
    failure: OSError | None = None

    def flush_file(self, path: Path) -> None:
        self._flush(f"file {path.name}")

    def flush_file_system(self, *paths: Path) -> None:
        self._flush(f"all {len(paths)}")

    def _flush(self, what: str) -> None:
        assert self.goes_on.wait(10)
        self.flushed.append(what)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(flushing, "_flush_file", disk.flush_file)
    monkeypatch.setattr(flushing, "_flush_file_system", disk.flush_file_system)
    yield disk
    disk.goes_on.set()


def write(path: Path) -> str:
    backend_of(str(path)).write(str(path), b"x")
    return str(path)


def pending(folder: Path) -> list[str]:
    return [path for path in flushing._pending if path.startswith(str(folder))]


def test_who_waits_goes_on_when_the_file_is_flushed_and_not_before(disk: Disk, tmp_path: Path) -> None:
    written = write(tmp_path / "data")
    is_over = threading.Event()

    def wait() -> None:
        wait_until_flushed(written)
        is_over.set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        assert not is_over.wait(0.05)
        disk.goes_on.set()
        waiting.result(timeout=5)
    assert disk.flushed == ["file data"]
    assert pending(tmp_path) == []


@pytest.mark.parametrize("shown", ["{}", "file://{}", "{}/../data"])
def test_a_file_is_waited_for_by_any_of_its_addresses(disk: Disk, tmp_path: Path, shown: str) -> None:
    disk.goes_on.set()
    disk.failure = OSError(errno.EIO, "Input/output error")
    written = write(tmp_path / "data")
    with pytest.raises(StorageError, match=r"cannot flush .*data to the disk: Input/output error") as caught:
        wait_until_flushed(shown.format(written))
    assert isinstance(caught.value.__cause__, OSError)
    wait_until_flushed(written)
    assert pending(tmp_path) == []


def test_what_this_process_did_not_write_is_not_waited_for(disk: Disk, tmp_path: Path) -> None:
    for address in ("s3://bucket/key", "memory://x", str(tmp_path / "other")):
        wait_until_flushed(address)
    assert disk.flushed == []


@pytest.mark.parametrize("how", ["write", "open", "store", "store folder"])
def test_everything_that_is_written_here_is_flushed(disk: Disk, tmp_path: Path, here: Path, how: str) -> None:
    disk.goes_on.set()
    target = str(tmp_path / "target")
    (here / "in").mkdir()
    (here / "in" / "file").write_bytes(b"1")
    if how == "write":
        write(Path(target))
    elif how == "open":
        with opened(target, "wb") as file:
            file.write(b"1")
    elif how == "store":
        store(str(here / "in" / "file"), target)
    else:
        store(str(here / "in"), target, recursive=True)
    wait_until_flushed(target)
    assert disk.flushed == ["all 1" if how == "store folder" else "file target"]


def test_many_small_files_are_flushed_in_few_calls(disk: Disk, tmp_path: Path) -> None:
    written = [write(tmp_path / str(number)) for number in range(500)]
    disk.goes_on.set()
    for path in written:
        wait_until_flushed(path)
    assert len(disk.flushed) <= 2 + flushing._ONE_BY_ONE
    assert pending(tmp_path) == []


def test_an_error_reaches_everyone_who_waits_for_the_batch(disk: Disk, tmp_path: Path) -> None:
    written = [write(tmp_path / str(number)) for number in range(50)]
    disk.failure = OSError(errno.ENOSPC, "No space left on device")
    disk.goes_on.set()
    for path in written:
        with pytest.raises(StorageError, match="No space left"):
            wait_until_flushed(path)
    assert pending(tmp_path) == []


def test_what_was_deleted_meanwhile_is_not_missed_and_the_rest_is_flushed(disk: Disk, tmp_path: Path) -> None:
    written = [write(tmp_path / str(number)) for number in range(50)]
    for path in written[:10]:
        os.unlink(path)
    disk.goes_on.set()
    for path in written:
        wait_until_flushed(path)
    assert sum(int(each.split()[1]) for each in disk.flushed if each.startswith("all")) >= 40


def test_files_of_two_file_systems_are_flushed_by_two_calls(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    others = [shared / f"{tmp_path.name}-{os.getpid()}-{number}" for number in range(10)]
    try:
        written = [write(path) for pair in zip((tmp_path / str(n) for n in range(10)), others) for path in pair]
        disk.goes_on.set()
        for path in written:
            wait_until_flushed(path)
    finally:
        for other in others:
            other.unlink(missing_ok=True)
    # One of them may have been on its way before the others came.
    sizes = sorted(int(each.split()[1]) for each in disk.flushed if each.startswith("all"))
    assert sizes in ([10, 10], [9, 10])


def test_without_flushing_nobody_waits(disk: Disk, tmp_path: Path) -> None:
    use_storage(Local(flush=False))
    wait_until_flushed(write(tmp_path / "data"))
    assert (disk.flushed, pending(tmp_path)) == ([], [])


def test_where_no_thread_can_be_started_writing_itself_flushes(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    disk.goes_on.set()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        written = write(tmp_path / "data")
        assert disk.flushed == ["file data"]
    wait_until_flushed(written)
    wait_until_flushed(write(tmp_path / "next"))
    assert disk.flushed == ["file data", "file next"]


def test_the_file_its_folder_and_whole_file_systems_are_really_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync: Callable[[int], None] = os.fsync

    def seen(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    wait_until_flushed(write(tmp_path / "data"))
    assert synced == [str(tmp_path / "data"), str(tmp_path)]
    flushing._flush_file_system(tmp_path / "gone", tmp_path / "data")
    flushing._flush_file_system(tmp_path / "gone")


FORKING = """
import os, signal, sys
from flyte.storage import _flushing
from flyte.storage._backend import backend_of
reading, writing = os.pipe()
_flushing._flush_file = lambda path: os.read(reading, 1)
backend_of("/").write(sys.argv[1], b"x")
child = os.fork()
if not child:
    signal.alarm(15)
    _flushing._flush_file = lambda path: None
    _flushing.wait_until_flushed(sys.argv[1])
    backend_of("/").write(sys.argv[1], b"y")
    _flushing.wait_until_flushed(sys.argv[1])
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.write(writing, b"x")
_flushing.wait_until_flushed(sys.argv[1])
"""


def test_a_forked_process_does_not_wait_for_its_parents_thread(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("7\n", "")
