"""Processes that die, disks that are full and folders that are closed: what is there afterwards is whole, or absent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flyte import _faults
from flyte._faults import Fault
from flyte.errors import DataAccessDeniedError, StorageError
from flyte.storage._backend import backend_of
from flyte.storage._open_files import opened
from flyte.storage._settings import use_storage
from flyte.storage._transfer import fetch, store
from tests.faulty_proxy import Exchange, FaultyProxy
from tests.s3 import KEYS, S3Server
from tests.storage.conftest import LocalPlace, Place, S3Place, files_below

PROGRAM = """
import sys
from flyte.storage._backend import backend_of
from flyte.storage._open_files import opened
from flyte.storage._transfer import fetch, store

verb, source, target = sys.argv[1:]
if verb == "open":
    with opened(target, "wb") as file:
        file.write(b"x" * (6 << 20))
elif verb == "bytes":
    backend_of(target).write(target, b"x" * (6 << 20))
elif verb == "put":
    store(source, target)
elif verb == "put folder":
    store(source, target, recursive=True)
elif verb == "get":
    fetch(source, target)
elif verb == "get folder":
    fetch(source, target, recursive=True)
print("done")
"""


def variables(endpoint: str) -> dict[str, str]:
    """With these a process reaches the S3 server."""
    return os.environ | {
        "FLYTE_AWS_ENDPOINT": endpoint,
        "FLYTE_AWS_ACCESS_KEY_ID": KEYS["access_key_id"],
        "FLYTE_AWS_SECRET_ACCESS_KEY": KEYS["secret_access_key"],
        "AWS_REGION": KEYS["region"],
    }


@pytest.mark.parametrize("point", ["data.before_write", "data.written"])
@pytest.mark.parametrize("verb", ["open", "bytes", "put", "put folder", "get", "get folder"])
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_process_killed_while_it_writes_leaves_a_whole_file_or_none(
    kind: str, verb: str, point: str, s3: S3Server, s3_place: S3Place, here: Path
) -> None:
    data = b"x" * (6 << 20)
    (here / "in").mkdir()
    for name in ("file", "other"):
        (here / "in" / name).write_bytes(data)
        if kind == "s3" and verb.startswith("get"):
            s3_place.give(f"in/{name}", data)
    source, target = str(here / "in"), s3_place.at("out") if kind == "s3" else str(here / "out")
    if verb.startswith("get"):
        source, target = (s3_place.at("in") if kind == "s3" else source), str(here / "out")
    source = source if verb.endswith("folder") else f"{source}/file"
    command = [sys.executable, "-c", PROGRAM, verb, source, target]
    killed = subprocess.run(
        command, env=variables(s3.url) | {"FLYTE_FAULT_POINT": point}, capture_output=True, text=True, timeout=60
    )
    assert (killed.returncode, killed.stdout) == (-9, ""), killed.stderr
    objects = [name for name in s3_place.names() if name.startswith("out")]
    visible = [name for name in os.listdir(here) if not name.startswith(".")]
    assert visible == ["in"]
    # An object is in its place as soon as it is complete.
    assert objects == [] or (kind == "s3" and point == "data.written" and not verb.startswith("get"))
    for name in objects:
        assert s3_place.read(name) == data
    # The next one is not disturbed by what was left.
    if verb.startswith("get"):
        fetch(source, target, recursive=verb == "get folder")
    else:
        store(source, target, recursive=verb == "put folder")


def test_a_process_killed_in_the_middle_of_an_upload_completed_nothing(
    proxy: FaultyProxy, s3_place: S3Place, here: Path
) -> None:
    is_uploading = threading.Event()

    def hold(exchange: Exchange) -> None:
        exchange.handler.rfile.read(exchange.length // 2)
        is_uploading.set()
        exchange.handler.server.over.wait()

    proxy.on("PUT", hold, nth=2)
    (here / "in").write_bytes(b"x" * (20 << 20))
    command = [sys.executable, "-c", PROGRAM, "put", str(here / "in"), s3_place.at("out")]
    with subprocess.Popen(command, env=variables(proxy.url)) as process:
        assert is_uploading.wait(20)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert s3_place.names() == []


def write_bytes(place: Place, here: Path) -> None:
    backend_of(place.base).write(place.at("x"), b"1")


def write_opened(place: Place, here: Path) -> None:
    with opened(place.at("x"), "wb") as file:
        file.write(b"1")


def write_file(place: Place, here: Path) -> None:
    store(str(here / "in" / "a"), place.at("x"))


def write_folder(place: Place, here: Path) -> None:
    store(str(here / "in"), place.at("x"), recursive=True)


def read_file(place: Place, here: Path) -> None:
    fetch(place.at("there/a"), here / "out")


def read_folder(place: Place, here: Path) -> None:
    fetch(place.at("there"), here / "out", recursive=True)


def read_into_folder(place: Place, here: Path) -> None:
    fetch(place.at("there"), here / "in", recursive=True)


WAYS = [write_bytes, write_opened, write_file, write_folder, read_file, read_folder, read_into_folder]
Way = Callable[[Place, Path], None]


@pytest.mark.parametrize("way", WAYS)
def test_on_a_full_disk_nothing_half_written_stays(
    place: Place, here: Path, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "in").mkdir()
    for name in ("a", "b"):
        (here / "in" / name).write_bytes(b"old")
        place.give(f"there/{name}", b"new")
    is_in_place_once_written = not isinstance(place, LocalPlace) and way.__name__.startswith("write")
    for point in ("data.before_write", *(() if is_in_place_once_written else ("data.written",))):
        with monkeypatch.context() as patched:
            patched.setattr(_faults, "_fault", Fault(f"{point}:1:raise-enospc"))
            with pytest.raises(StorageError, match=r"cannot write .*the disk is full .*Free some space and run again"):
                way(place, here)
        assert (place.names(), place.begun()) == (["there/a", "there/b"], [])
        assert files_below(here) == ["in/a", "in/b"]
        assert sorted(os.listdir(here)) == ["in"]
        assert (here / "in" / "a").read_bytes() == b"old"
    way(place, here)


LIMITED = """
import os, resource, sys
from flyte.errors import StorageError
from flyte.storage._backend import backend_of
from flyte.storage._open_files import opened
from flyte.storage._transfer import fetch, store

folder, source, limit = sys.argv[1:]
if limit == "size":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
address = os.path.join(folder, "out")

def write_opened():
    with opened(address, "wb") as file:
        for _ in range(20):
            file.write(bytes(1 << 18))

def write_bytes():
    backend_of(address).write(address, bytes(5 << 20))

for way in (
    write_opened,
    write_bytes,
    lambda: store(f"{source}/small", address),
    lambda: store(f"{source}/large", address),
    lambda: store(source, address, recursive=True),
    lambda: fetch(f"{source}/large", address),
    lambda: fetch(source, address, recursive=True),
):
    try:
        way()
    except StorageError as error:
        print(error)
    print(sorted(os.listdir(folder)))
"""
TMPFS = 'mount -t tmpfs -o size=2m tmpfs "$1" && "$2" -c "$3" "$1" "$4" space'


@pytest.fixture
def large(here: Path) -> Path:
    """A folder with files that a small disk has no space for."""
    folder = here / "source"
    folder.mkdir()
    (folder / "small").write_bytes(os.urandom(3 << 20))
    (folder / "large").write_bytes(os.urandom(10 << 20))
    return folder


def can_mount() -> bool:
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
def test_a_disk_that_is_really_full_keeps_no_part(tmp_path: Path, large: Path) -> None:
    (tmp_path / "disk").mkdir()
    arguments = [str(tmp_path / "disk"), sys.executable, LIMITED, str(large)]
    command = ["unshare", "-rm", "sh", "-c", TMPFS, "sh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == 14, done.stderr
    assert lines[1::2] == ["[]"] * 7
    for line in lines[::2]:
        assert f"cannot write {tmp_path}/disk/out: the disk is full" in line


def test_a_file_larger_than_files_may_be_keeps_no_part(tmp_path: Path, large: Path) -> None:
    (tmp_path / "limited").mkdir()
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "limited"), str(large), "size"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == 14, done.stderr
    assert lines[1::2] == ["[]"] * 7
    for line in lines[::2]:
        assert "it is larger than this process may write. Raise the limit of file sizes" in line


UNPRIVILEGED = """
import asyncio, encodings.idna, os, sys
from concurrent.futures import ThreadPoolExecutor
from flyte.errors import DataAccessDeniedError, StorageError
from flyte.storage import _flushing, _local, _merging
from flyte.storage._backend import backend_of
from flyte.storage._open_files import opened
from flyte.storage._transfer import exists_sync, fetch, store
import blake3

folder = sys.argv[1]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

def write(address):
    with opened(address, "wb") as file:
        file.write(b"1")

for way in (
    lambda: fetch(f"{folder}/secret", f"{folder}/open/out"),
    lambda: opened(f"{folder}/secret").__enter__(),
    lambda: store(f"{folder}/secret", f"{folder}/open/out"),
    lambda: fetch(f"{folder}/closed", f"{folder}/open/out", recursive=True),
    lambda: exists_sync(f"{folder}/closed/file"),
    lambda: store(f"{folder}/closed", f"{folder}/open/out", recursive=True),
    lambda: store(f"{folder}/mixed", f"{folder}/open/out", recursive=True),
    lambda: write(f"{folder}/readonly/out"),
    lambda: backend_of(folder).write(f"{folder}/readonly/out", b"1"),
    lambda: store(f"{folder}/plain", f"{folder}/readonly/out"),
    lambda: fetch(f"{folder}/plain", f"{folder}/readonly/out"),
    lambda: fetch(f"{folder}/plain", f"{folder}/readonly/deep/out"),
    lambda: fetch(f"{folder}/open", f"{folder}/readonly", recursive=True),
):
    try:
        way()
    except DataAccessDeniedError as error:
        print(error)
print(sorted(os.listdir(f"{folder}/open")), sorted(os.listdir(f"{folder}/readonly")))
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that any user can reach, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="flyte-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for path in folder.iterdir():
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_what_this_user_may_not_read_or_write_is_named(reachable: Path) -> None:
    for name, mode in (("secret", 0o000), ("plain", 0o644)):
        (reachable / name).write_bytes(b"1")
        (reachable / name).chmod(mode)
    for name, mode in (("closed", 0o000), ("mixed", 0o755), ("readonly", 0o555), ("open", 0o777)):
        (reachable / name).mkdir()
        if name in ("closed", "mixed", "open"):
            (reachable / name / "file").write_bytes(b"1")
        if name == "mixed":
            (reachable / name / "file").chmod(0o000)
        (reachable / name).chmod(mode)
    command = [sys.executable, "-c", UNPRIVILEGED, str(reachable)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    *errors, last = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert last == "['file'] []"
    assert len(errors) == 13, done.stdout + done.stderr
    for error in errors:
        assert f"cannot {error.split()[1]}" in error
        assert str(reachable) in error
        assert "Permission denied. Let this user read and write there" in error


def test_a_source_that_may_not_be_read_is_the_one_that_is_named(
    s3_place: S3Place, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "in").write_bytes(b"1")
    real_open = Path.open

    def refused(path: Path, *arguments: object, **named: object) -> object:
        if path == here / "in":
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataAccessDeniedError, match=f"cannot read {here / 'in'}"):
        store(str(here / "in"), s3_place.at("x"))
    assert s3_place.names() == []
    use_storage(None)
