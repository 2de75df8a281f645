"""`flyte.io.File` by itself: made, written, read, refused; in local folders and in an S3 store."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import BlobType, LiteralType

from flyte import storage
from flyte.errors import DataChangedError, DataNotFoundError, NotInTaskContextError, StorageError
from flyte.io import Dir, File, HashFunction
from flyte.io._hashing import HashlibAccumulator
from flyte.models import PathRewrite
from flyte.storage import Local
from flyte.storage._settings import use_storage
from flyte.types import TypeEngine
from tests.running import running
from tests.s3 import S3Server, settings

TEXT = "one\ntwo\n"


@pytest.fixture(params=["local", "s3"])
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The raw data path of the task that the test runs in, on each kind of store."""
    path = str(tmp_path / "raw")
    use_storage(Local(flush=False))
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        use_storage(settings(server.url))
        path = f"s3://{server.new_bucket()}/raw"
    with running(path, tmp_path):
        yield path
    use_storage(None)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the user's, in the working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "mine.txt").write_text(TEXT)
    return folder / "mine.txt"


def digest_of(data: bytes) -> str:
    return f"blake3:{blake3(data).hexdigest()}"


def text_of(file: File[Any]) -> str:
    with file.open_sync("r") as opened:
        text: str = opened.read()
    return text


def spoil(file: File[Any], data: bytes) -> None:
    """Someone else changes what is at the address."""
    with File(path=file.path, name=file.name).open_sync("wb") as opened:
        opened.write(data)


def to_literal(value: Any, annotation: Any) -> Literal:
    literal_type = TypeEngine.to_literal_type(annotation)
    return asyncio.run(TypeEngine.to_literal(value, annotation, literal_type))


def back(value: Any, annotation: Any) -> Any:
    """The value as a task with this annotation gets it."""
    return asyncio.run(TypeEngine.to_python_value(to_literal(value, annotation), annotation))


# from_local


def test_local_file_becomes_a_copy_below_the_raw_data_path(raw: str, mine: Path) -> None:
    file: File[Any] = File.from_local_sync(mine)
    assert file.path.startswith(f"{raw}/")
    assert file.name == "mine.txt"
    assert text_of(file) == TEXT


def test_later_change_of_the_original_does_not_change_the_copy(raw: str, mine: Path) -> None:
    file: File[Any] = File.from_local_sync("mine.txt")
    mine.write_text("changed")
    assert text_of(file) == TEXT


def test_awaited_form_copies_too(raw: str, mine: Path) -> None:
    async def both() -> str:
        file: File[Any] = await File.from_local(str(mine))
        async with file.open("r") as opened:
            text = await opened.read()
        assert await file.exists()
        return str(text)

    assert asyncio.run(both()) == TEXT


def test_copy_has_the_hash_of_its_content(raw: str, mine: Path) -> None:
    assert File.from_local_sync(mine).hash == digest_of(TEXT.encode())


def test_two_copies_of_one_file_have_addresses_of_their_own_and_one_hash(raw: str, mine: Path) -> None:
    first: File[Any] = File.from_local_sync(mine)
    second: File[Any] = File.from_local_sync(mine)
    assert first.path != second.path
    assert first.hash == second.hash


def test_address_is_new_even_where_the_task_seeds_its_chance(raw: str, mine: Path) -> None:
    random.seed(7)
    first: File[Any] = File.from_local_sync(mine)
    mine.write_text("other")
    random.seed(7)
    second: File[Any] = File.from_local_sync(mine)
    assert first.path != second.path
    assert text_of(first) == TEXT


def test_copy_goes_to_the_destination_that_is_given(raw: str, mine: Path) -> None:
    file: File[Any] = File.from_local_sync(mine, f"{raw}/here/named.txt")
    assert (file.path, file.name) == (f"{raw}/here/named.txt", "named.txt")
    assert text_of(file) == TEXT


def test_file_of_the_home_folder_is_found(raw: str, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(mine.parent))
    assert text_of(File.from_local_sync("~/mine.txt")) == TEXT


def test_link_is_copied_as_the_file_it_leads_to(raw: str, mine: Path) -> None:
    Path("link.txt").symlink_to(mine)
    file: File[Any] = File.from_local_sync("link.txt")
    assert text_of(file) == TEXT


def test_empty_file_travels(raw: str, mine: Path) -> None:
    mine.write_bytes(b"")
    file = back(File.from_local_sync(mine), File)
    assert text_of(file) == ""
    assert Path(file.download_sync()).read_bytes() == b""


@pytest.mark.parametrize("name", ["with blank.txt", "größe.txt", "a%20b#c?.txt", "日本.csv", "-rf", "a" * 200])
def test_any_name_of_a_file_is_kept(raw: str, mine: Path, name: str) -> None:
    mine.rename(name)
    file = back(File.from_local_sync(f"./{name}"), File)
    assert file.name == name
    assert text_of(file) == TEXT
    assert Path(file.download_sync()).name == name


def test_outside_a_task_a_file_is_copied_when_it_is_given_to_one(mine: Path, tmp_path: Path) -> None:
    file: File[Any] = File.from_local_sync("mine.txt")
    assert file.path == str(mine)
    assert file.lazy_uploader is not None
    with running(str(tmp_path / "raw"), tmp_path):
        got = back(file, File)
    assert got.path.startswith(str(tmp_path / "raw"))
    assert got.hash == digest_of(TEXT.encode())
    assert file.lazy_uploader is None


def test_lazy_uploader_gives_hash_and_path(mine: Path, tmp_path: Path) -> None:
    file: File[Any] = File.from_local_sync(mine)
    upload = file.lazy_uploader
    assert upload is not None
    with running(str(tmp_path / "raw"), tmp_path):
        assert asyncio.run(upload()) == (digest_of(TEXT.encode()), file.path)


# new_remote, named_remote, from_existing_remote


def test_new_file_is_written_and_read_as_text(raw: str) -> None:
    file: File[Any] = File.new_remote("new.txt")
    with file.open_sync("w") as opened:
        opened.write("größe\n")
    assert file.path.startswith(f"{raw}/")
    assert text_of(file) == "größe\n"
    assert file.hash == digest_of("größe\n".encode())


def test_new_file_is_written_and_read_as_bytes(raw: str) -> None:
    async def both() -> bytes:
        file: File[Any] = File.new_remote("new.bin")
        async with file.open("wb") as opened:
            await opened.write(bytes(range(256)) * 1000)
        async with file.open("rb") as opened:
            return bytes(await opened.read())

    assert asyncio.run(both()) == bytes(range(256)) * 1000


def test_file_without_a_name_gets_one(raw: str) -> None:
    file: File[Any] = File.new_remote()
    with file.open_sync("wb") as opened:
        opened.write(b"x")
    assert file.name
    assert file.exists_sync()


def test_nothing_is_there_when_the_block_that_writes_raises(raw: str) -> None:
    file: File[Any] = File.new_remote("new.txt")

    def write() -> None:
        with file.open_sync("w") as opened:
            opened.write("half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert not file.exists_sync()
    assert file.hash is None


def test_nothing_is_there_when_the_awaited_block_that_writes_raises(raw: str) -> None:
    file: File[Any] = File.new_remote("new.txt")

    async def write() -> None:
        async with file.open("w") as opened:
            await opened.write("half")
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(write())
    assert not file.exists_sync()


def test_rewritten_file_has_the_hash_of_its_last_content(raw: str) -> None:
    file: File[Any] = File.new_remote("new.txt")
    for text in ("first", "second"):
        with file.open_sync("w") as opened:
            opened.write(text)
    assert file.hash == digest_of(b"second")
    assert text_of(file) == "second"


def test_compressed_file_is_read_as_it_was_written(raw: str, mine: Path) -> None:
    with gzip.open("mine.txt.gz", "wb") as packed:
        packed.write(TEXT.encode())
    file: File[Any] = File.from_local_sync("mine.txt.gz")
    with file.open_sync("rb", compression="infer") as opened:
        assert opened.read() == TEXT.encode()


def test_named_file_is_at_one_address_in_each_attempt(raw: str, tmp_path: Path) -> None:
    with File.named_remote("state.txt").open_sync("w") as opened:
        opened.write("so far")
    with running(raw, tmp_path):
        again: File[Any] = File.named_remote("state.txt")
        assert again.exists_sync()
        assert text_of(again) == "so far"


def test_named_file_of_another_action_is_another_file(raw: str, tmp_path: Path) -> None:
    here = File.named_remote("state.txt").path
    with running(raw, tmp_path, action="a1"):
        assert File.named_remote("state.txt").path != here


def test_existing_file_is_neither_copied_nor_looked_at(raw: str) -> None:
    file: File[Any] = File.from_existing_remote(f"{raw}/missing.txt", "v1")
    assert (file.path, file.name, file.hash) == (f"{raw}/missing.txt", "missing.txt", "v1")
    assert not file.exists_sync()


def test_relative_path_is_recorded_as_absolute(mine: Path) -> None:
    assert File.from_existing_remote("mine.txt").path == str(mine)
    assert to_literal(File(path="mine.txt"), File).scalar.blob.uri == str(mine)


def test_folder_is_no_file_that_exists(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine.parent)
    assert not File(path=folder.path).exists_sync()


def test_path_is_rewritten_when_a_task_gets_the_file(mine: Path, tmp_path: Path) -> None:
    rewrite = PathRewrite(old_prefix="s3://bucket/data", new_prefix=str(mine.parent))
    literal = to_literal(File.from_existing_remote("s3://bucket/data/mine.txt"), File)
    with running(str(tmp_path), tmp_path, rewrite=rewrite):
        assert text_of(asyncio.run(TypeEngine.to_python_value(literal, File))) == TEXT


# download


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("down/named.txt", "down/named.txt"),
        ("down/", "down/mine.txt"),
        ("there", "there/mine.txt"),
        (Path("down/path.txt"), "down/path.txt"),
    ],
)
def test_download_goes_where_it_is_told(raw: str, mine: Path, target: str | Path, found: str) -> None:
    Path("there").mkdir()
    got = File.from_local_sync(mine).download_sync(target)
    assert os.path.abspath(got) == os.path.abspath(found)
    assert Path(found).read_text() == TEXT


def test_download_without_a_target_is_somewhere_on_this_machine(raw: str, mine: Path) -> None:
    file: File[Any] = File.from_local_sync(mine)
    got = asyncio.run(file.download())
    assert Path(got).read_text() == TEXT
    assert Path(got).name == "mine.txt"
    assert (got == file.path) is not raw.startswith("s3:")


def test_download_of_a_local_file_to_itself_changes_nothing(mine: Path) -> None:
    assert File(path=str(mine)).download_sync("mine.txt") == str(mine)
    assert mine.read_text() == TEXT


# integrity


@pytest.mark.parametrize("spoiled", [b"one\n", b"", b"ONE\ntwo\n", TEXT.encode() + b"more"])
def test_download_of_a_file_that_changed_fails_and_leaves_nothing(raw: str, mine: Path, spoiled: bytes) -> None:
    file: File[Any] = File.from_local_sync(mine)
    spoil(file, spoiled)
    with pytest.raises(DataChangedError):
        file.download_sync("down.txt")
    assert not Path("down.txt").exists()


@pytest.mark.parametrize("spoiled", [b"one\n", b"ONE\ntwo\n"])
def test_reading_a_file_that_changed_to_its_end_fails(raw: str, mine: Path, spoiled: bytes) -> None:
    file: File[Any] = File.from_local_sync(mine)
    spoil(file, spoiled)
    with pytest.raises(DataChangedError):
        text_of(file)


def test_file_under_a_hash_of_the_user_may_change(raw: str, mine: Path) -> None:
    file: File[Any] = File.from_local_sync(mine, hash_method="v1")
    spoil(file, b"new")
    assert text_of(file) == "new"
    assert file.hash == "v1"


# hash_method


METHODS: dict[str, tuple[Callable[[], Any], str]] = {
    "text": (lambda: "v1", "v1"),
    "function": (lambda: HashFunction.from_fn(lambda data: f"{len(data)} bytes"), "8 bytes"),
    "hashlib": (lambda: HashlibAccumulator.from_hash_name("sha256"), hashlib.sha256(TEXT.encode()).hexdigest()),
}


@pytest.mark.parametrize("method", METHODS)
def test_hash_of_a_local_file_is_what_the_user_says(raw: str, mine: Path, method: str) -> None:
    make, expected = METHODS[method]
    assert File.from_local_sync(mine, hash_method=make()).hash == expected


@pytest.mark.parametrize("method", METHODS)
def test_hash_of_a_file_that_is_written_is_what_the_user_says(raw: str, method: str) -> None:
    make, expected = METHODS[method]
    file: File[Any] = File.new_remote("new.txt", hash_method=make())
    with file.open_sync("w") as opened:
        opened.write(TEXT[:3])
        opened.write(TEXT[3:])
    assert file.hash == expected


def test_hash_method_can_be_used_for_several_files(raw: str, mine: Path) -> None:
    method = HashlibAccumulator.from_hash_name("md5")
    first, second = (File.from_local_sync(mine, hash_method=method).hash for _ in range(2))
    assert first == second == hashlib.md5(TEXT.encode()).hexdigest()


def test_hash_method_is_not_recorded(raw: str, mine: Path) -> None:
    file: File[Any] = File.new_remote(hash_method=HashlibAccumulator.from_hash_name("md5"))
    assert set(file.model_dump()) == {"path", "name", "format", "hash"}


# wire form


def test_literal_type_is_the_official_blob() -> None:
    expected = LiteralType(blob=BlobType(dimensionality=BlobType.BlobDimensionality.SINGLE))
    assert TypeEngine.to_literal_type(File) == expected
    assert TypeEngine.to_literal_type(File[str]) == expected


def test_literal_is_the_official_blob() -> None:
    literal = to_literal(File(path="s3://b/k.csv", format="csv", hash="v1"), File)
    assert literal.scalar.blob.uri == "s3://b/k.csv"
    assert literal.scalar.blob.metadata.type.format == "csv"
    assert literal.scalar.blob.metadata.type.dimensionality == BlobType.BlobDimensionality.SINGLE
    assert literal.hash == "v1"


def test_file_without_a_hash_has_none_in_its_literal() -> None:
    assert to_literal(File(path="s3://b/k.csv"), File).hash == ""


@pytest.mark.parametrize("hash_value", [None, "v1", digest_of(b"x")])
def test_file_comes_back_as_it_was(hash_value: str | None) -> None:
    file: File[Any] = File(path="s3://b/k.csv", name="other name.csv" if hash_value != "v1" else None, hash=hash_value)
    got = back(file, File)
    assert (got.path, got.format, got.hash) == (file.path, file.format, file.hash)


def test_json_schema_is_recognised() -> None:
    assert File.schema_match(File.model_json_schema())
    assert not Dir.schema_match(File.model_json_schema())
    assert not File.schema_match({"title": "File", "properties": {"other": {}}})
    assert not File.schema_match("no schema")


# bad inputs


NO_NAMES: dict[str, tuple[str, type[Exception]]] = {
    "leads out": ("../up.txt", StorageError),
    "leads out later": ("a/../../up.txt", StorageError),
    "is the folder above": ("..", StorageError),
    "is absolute": ("/etc/passwd", StorageError),
    "is empty": ("", StorageError),
    "is a URL": ("s3://bucket/key", StorageError),
    "holds a NUL": ("a\0b", StorageError),
}

NO_FILES: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "missing": (lambda: File.from_local_sync("missing.txt"), DataNotFoundError),
    "missing, as ValueError": (lambda: File.from_local_sync("missing.txt"), ValueError),
    "missing, as FileNotFoundError": (lambda: File.from_local_sync("missing.txt"), FileNotFoundError),
    "below a file": (lambda: File.from_local_sync("mine.txt/below"), StorageError),
    "a folder": (lambda: File.from_local_sync("."), StorageError),
    "a link that leads nowhere": (lambda: File.from_local_sync("nowhere"), StorageError),
    "a pipe": (lambda: File.from_local_sync("pipe"), StorageError),
    "a NUL in the path": (lambda: File.from_local_sync("a\0b"), StorageError),
    "a URL": (lambda: File.from_local_sync("s3://bucket/key"), StorageError),
    "a hash method that is none": (
        lambda: File.from_local_sync("mine.txt", hash_method=object()),  # type: ignore[arg-type]
        TypeError,
    ),
    "parts of no bytes": (lambda: File.from_local_sync("mine.txt", chunk_size=0), ValueError),
    "no parts at the same time": (lambda: File.from_local_sync("mine.txt", max_concurrency=0), ValueError),
    "reading what is not there": (lambda: text_of(File(path="missing.txt")), DataNotFoundError),
    "downloading what is not there": (lambda: File(path="missing.txt").download_sync(), DataNotFoundError),
    "downloading a folder": (lambda: File(path=".").download_sync(), StorageError),
    "reading a folder": (lambda: text_of(File(path=".")), StorageError),
    "unknown mode": (lambda: File(path="mine.txt").open_sync("q").__enter__(), ValueError),
    "unknown cache": (lambda: File(path="mine.txt").open_sync(cache_type="all").__enter__(), ValueError),
    "options of a cache": (
        lambda: File(path="mine.txt").open_sync(cache_options={"n": 1}).__enter__(),
        ValueError,
    ),
    "unknown compression": (lambda: File(path="mine.txt").open_sync(compression="rar").__enter__(), ValueError),
    "no path": (lambda: File.model_validate({}), ValueError),
    "a path that is no text": (lambda: File.model_validate({"path": 5}), ValueError),
}


@pytest.mark.parametrize("case", NO_NAMES)
@pytest.mark.parametrize("make", [File.new_remote, File.named_remote, Dir.new_remote])
def test_name_that_leads_out_of_its_folder_is_refused(raw: str, case: str, make: Callable[[str], Any]) -> None:
    name, error = NO_NAMES[case]
    with pytest.raises(error):
        make(name)


@pytest.mark.parametrize("case", NO_FILES)
def test_what_is_no_file_is_refused(raw: str, mine: Path, case: str) -> None:
    Path("nowhere").symlink_to("missing")
    os.mkfifo("pipe")
    wrong, error = NO_FILES[case]
    with pytest.raises(error):
        wrong()


@pytest.mark.parametrize("make", [File.new_remote, lambda: File.named_remote("x"), Dir.new_remote])
def test_outside_a_task_there_is_no_place_for_new_data(make: Callable[[], Any]) -> None:
    with pytest.raises(NotInTaskContextError):
        make()


def test_store_functions_find_what_a_task_stored(raw: str, mine: Path) -> None:
    assert storage.exists_sync(File.from_local_sync(mine).path)


def test_the_type_of_a_recorded_file_or_folder_is_guessed() -> None:
    assert TypeEngine.guess_python_type(TypeEngine.to_literal_type(File)) is File
    assert TypeEngine.guess_python_type(TypeEngine.to_literal_type(Dir)) is Dir
