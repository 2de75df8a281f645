"""One place for data on each kind of store, and a watch over what tests leave behind."""

from __future__ import annotations

import os
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from flyte.storage import Local
from flyte.storage._settings import use_storage
from tests.faulty_proxy import FaultyProxy, faulty_proxy
from tests.s3 import S3Server, settings


class Place(ABC):
    """A folder on some store, seen past the code under test.

    Attributes:
        base: Its address.
        kind: `local`, `s3` or `memory`.
    """

    base: str
    kind: str

    def at(self, relative: str) -> str:
        """The address of what is there."""
        return f"{self.base}/{relative}"

    @abstractmethod
    def give(self, relative: str, data: bytes) -> str:
        """A file is there; returns its address."""

    @abstractmethod
    def read(self, relative: str) -> bytes:
        """What is in a file there."""

    @abstractmethod
    def names(self) -> list[str]:
        """The relative paths of all files there, temporary and hidden ones too."""

    def begun(self) -> list[str]:
        """What was begun there and neither completed nor taken back."""
        return []


class LocalPlace(Place):
    kind = "local"

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.base = str(folder)

    def give(self, relative: str, data: bytes) -> str:
        path = Path(self.base, relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    def read(self, relative: str) -> bytes:
        return Path(self.base, relative).read_bytes()

    def names(self) -> list[str]:
        return files_below(Path(self.base))

    def begun(self) -> list[str]:
        return [name for name in files_below(Path(self.base)) if ".tmp" in name]


class S3Place(Place):
    kind = "s3"

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.new_bucket()
        self.base = f"s3://{self.bucket}/base"

    def give(self, relative: str, data: bytes) -> str:
        self.server.client.put_object(Bucket=self.bucket, Key=f"base/{relative}", Body=data)
        return self.at(relative)

    def read(self, relative: str) -> bytes:
        data: bytes = self.server.client.get_object(Bucket=self.bucket, Key=f"base/{relative}")["Body"].read()
        return data

    def names(self) -> list[str]:
        return [key.removeprefix("base/") for key in self.server.keys(self.bucket)]

    def begun(self) -> list[str]:
        return self.server.open_uploads(self.bucket)


class MemoryPlace(Place):
    kind = "memory"

    def __init__(self) -> None:
        self._files = fsspec.filesystem("memory")
        self._root = f"/{uuid.uuid4().hex}"
        self.base = f"memory:/{self._root}"

    def give(self, relative: str, data: bytes) -> str:
        self._files.pipe_file(f"{self._root}/{relative}", data)
        return self.at(relative)

    def read(self, relative: str) -> bytes:
        data: bytes = self._files.cat_file(f"{self._root}/{relative}")
        return data

    def names(self) -> list[str]:
        return sorted(path.removeprefix(f"{self._root}/") for path in self._files.find(self._root))

    def forget(self) -> None:
        """What was there is gone."""
        if self._files.exists(self._root):
            self._files.rm(self._root, recursive=True)


def files_below(folder: Path) -> list[str]:
    """The relative paths of all files below a folder, sorted; links count as files."""
    found = []
    for here, folders, names in os.walk(folder):
        found += [Path(here, name) for name in names]
        found += [Path(here, name) for name in folders if Path(here, name).is_symlink()]
    return sorted(path.relative_to(folder).as_posix() for path in found)


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No storage is given, and none of this machine's settings are seen."""
    for name in os.environ:
        if name.startswith(("AWS_", "FLYTE_AWS_", "FLYTE_STORAGE_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "no-such-file"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    use_storage(None)
    yield
    use_storage(None)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Every thread that a test started has ended with it, but for those of the event loop."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith(("flyte-", "faulty-", "Thread-")):
            thread.join(timeout=5)
            assert not thread.is_alive(), f"thread {thread.name} is left"


@pytest.fixture
def s3_place(s3: S3Server) -> S3Place:
    """A bucket of this test, and settings with which it is reached."""
    use_storage(settings(s3.url))
    return S3Place(s3)


@pytest.fixture
def local_place(tmp_path: Path) -> LocalPlace:
    """A folder of this machine, whose files nobody waits for to be on the disk."""
    use_storage(Local(flush=False))
    return LocalPlace(tmp_path / "place")


@pytest.fixture
def memory_place() -> Iterator[MemoryPlace]:
    """A folder in the memory of fsspec."""
    place = MemoryPlace()
    yield place
    place.forget()


@pytest.fixture(params=["local", "s3", "memory"])
def place(request: pytest.FixtureRequest) -> Place:
    """An empty folder on each kind of store."""
    made: Place = request.getfixturevalue(f"{request.param}_place")
    return made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A local folder that data comes from and goes to."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def proxy(s3: S3Server, s3_place: S3Place) -> Iterator[FaultyProxy]:
    """Stands between the code and `s3_place`."""
    with faulty_proxy(s3.port) as made:
        use_storage(settings(made.url))
        yield made
