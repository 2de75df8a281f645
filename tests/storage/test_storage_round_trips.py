"""What was written is what is read, on every kind of store."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import os
import socket
import typing
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pytest

import flyte.storage as storage
from flyte.errors import DataNotFoundError, InvalidAddressError, StorageError, WrongKindOfDataError
from flyte.storage._backend import Expected, Stored, Tuning, backend_of
from flyte.storage._digests import digest_of_bytes, digest_of_folder
from flyte.storage._open_files import opened
from flyte.storage._transfer import fetch, store
from tests.storage.conftest import LocalPlace, Place, S3Place, files_below

PART = 5 << 20
SIZES = [0, 1, PART - 1, PART, PART + 1, 2 * PART]
NAMES = [
    "plain",
    "with space",
    " leading",
    "per%cent",
    "per%20cent",
    "ha#sh",
    "what?",
    "a+b",
    "a&b=c",
    "Größe-データ-🐍",
    "quote'\"",
    "semi;colon,comma",
    "~tilde",
    ".hidden",
    "...",
    "star*[x]{y}",
    "x" * 200,
    "a:b",
    "@at$dollar!",
    "deep/" * 30 + "file",
]


def content(size: int) -> bytes:
    """Bytes that differ from place to place."""
    pattern = bytes(range(251))
    return (pattern * (size // 251 + 1))[:size]


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_of_any_size_goes_there_and_back(place: Place, here: Path, size: int) -> None:
    source = here / "source"
    source.write_bytes(content(size))
    address = await storage.put(str(source), place.at("data.bin"), chunk_size=PART)
    assert address == place.at("data.bin")
    assert place.read("data.bin") == content(size)
    back = await storage.get(address, here / "back")
    assert back == str(here / "back")
    assert (here / "back").read_bytes() == content(size)
    assert place.names() == ["data.bin"]
    assert place.begun() == []


@pytest.mark.parametrize("size", SIZES)
async def test_a_stream_of_any_size_goes_there_and_back(place: Place, size: int) -> None:
    address = await storage.put_stream(in_pieces(content(size), 1 << 20), to_path=place.at("s"), chunk_size=PART)
    assert place.read("s") == content(size)
    for chunk_size in (PART, 10 << 20):
        chunks = [chunk async for chunk in storage.get_stream(address, chunk_size)]
        assert b"".join(chunks) == content(size)
        assert {len(chunk) for chunk in chunks[:-1]} <= {chunk_size}


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_of_any_size_are_written_at_once(place: Place, size: int) -> None:
    assert await storage.put_stream(content(size), to_path=place.at("b")) == place.at("b")
    assert backend_of(place.base).read(place.at("b")) == content(size)


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_goes_there_and_back(place: Place, here: Path, name: str) -> None:
    source = here / "in" / name
    source.parent.mkdir(parents=True)
    source.write_bytes(name.encode())
    await storage.put(str(source), place.at(name))
    assert place.names() == [name]
    assert await storage.exists(place.at(name))
    assert Path(await storage.get(place.at(name), here / "out")).read_bytes() == name.encode()
    await storage.put(str(here / "in"), place.at("folder"), recursive=True)
    await storage.get(place.at("folder"), here / "folder", recursive=True)
    assert files_below(here / "folder") == [name]
    with opened(place.at(name), "r") as file:
        assert file.read() == name


async def test_a_key_may_be_as_long_as_stores_take(s3_place: S3Place, here: Path) -> None:
    longest = "/".join(["k" * 100] * 20)[: 1024 - len("base/")]
    await storage.put_stream(b"x", to_path=s3_place.at(longest))
    assert s3_place.names() == [longest]
    with pytest.raises(InvalidAddressError, match="1025 bytes"):
        await storage.put_stream(b"x", to_path=s3_place.at(f"{longest}k"))


async def test_a_local_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127):
        await storage.put_stream(b"x", to_path=str(tmp_path / "long" / name))
        assert files_below(tmp_path / "long") == [name]
        os.unlink(tmp_path / "long" / name)
    with pytest.raises(InvalidAddressError, match="shorter"):
        await storage.put_stream(b"x", to_path=str(tmp_path / "long" / ("n" * 256)))
    assert files_below(tmp_path / "long") == []


def a_tree(folder: Path) -> dict[str, bytes]:
    """A folder with something of everything; returns its files."""
    files = {
        "top.txt": b"top",
        "empty": b"",
        ".hidden": b"hidden",
        ".git/config": b"git",
        "sub/one": b"1",
        "sub/two": b"22",
        "sub/deeper/" * 12 + "file": b"deep",
        "big.bin": content(PART + 7),
    }
    for relative, data in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


async def test_a_folder_goes_there_and_back(place: Place, here: Path) -> None:
    files = a_tree(here / "in")
    address, stored = store(str(here / "in"), place.at("tree"), recursive=True, tuning=Tuning(chunk_size=PART))
    assert place.names() == sorted(f"tree/{name}" for name in files)
    assert stored.size == sum(map(len, files.values()))
    assert stored.digest == digest_of_folder((name, digest_of_bytes(data)) for name, data in files.items())
    back = await storage.get(address, here / "out", recursive=True)
    assert {name: Path(back, name).read_bytes() for name in files_below(here / "out")} == files
    assert sorted(os.listdir(here)) == ["in", "out"]


async def test_a_folder_that_is_there_keeps_its_other_files_and_gets_the_new_ones(place: Place, here: Path) -> None:
    place.give("tree/a", b"new")
    place.give("tree/sub/b", b"b")
    (here / "out" / "sub").mkdir(parents=True)
    (here / "out" / "a").write_bytes(b"old")
    (here / "out" / "sub" / "mine").write_bytes(b"mine")
    await storage.get(place.at("tree"), here / "out", recursive=True)
    assert files_below(here / "out") == ["a", "sub/b", "sub/mine"]
    assert (here / "out" / "a").read_bytes() == b"new"


async def test_a_folder_that_is_not_as_expected_changes_nothing_where_it_should_go(place: Place, here: Path) -> None:
    place.give("tree/a", b"new")
    (here / "out").mkdir()
    (here / "out" / "a").write_bytes(b"old")
    for target in (here / "out", here / "fresh"):
        with pytest.raises(StorageError, match="not what was written"):
            fetch(place.at("tree"), target, recursive=True, expected=Expected(digest_of_bytes(b"")))
    assert (here / "out" / "a").read_bytes() == b"old"
    assert files_below(here) == ["out/a"]
    assert os.listdir(here) == ["out"]


@pytest.mark.parametrize("target", ["out/", "out", "new"])
async def test_a_folder_as_target_keeps_the_name_of_the_file(place: Place, here: Path, target: str) -> None:
    place.give("data.csv", b"1")
    if target == "out":
        (here / "out").mkdir()
    got = await storage.get(place.at("data.csv"), f"{here}/{target}")
    assert got == str(here / ("new" if target == "new" else "out/data.csv"))
    assert Path(got).read_bytes() == b"1"


async def test_without_a_target_a_new_folder_is_made_and_the_name_kept(place: Place) -> None:
    place.give("tree/data.csv", b"1")
    first, second = [await storage.get(place.at("tree/data.csv")) for _ in range(2)]
    assert first != second
    assert Path(first).name == "data.csv"
    folder = await storage.get(place.at("tree"), recursive=True)
    assert files_below(Path(folder)) == ["data.csv"]
    assert Path(folder).name == "tree"


async def test_without_a_target_nothing_is_left_when_there_is_nothing_to_get(place: Place, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    for recursive in (False, True):
        with pytest.raises(DataNotFoundError):
            await storage.get(place.at("missing"), recursive=recursive)
    assert sorted(os.listdir(tmp_path)) == before


async def test_local_addresses_may_be_urls(tmp_path: Path, here: Path) -> None:
    (here / "a").write_bytes(b"1")
    await storage.put(f"file://{here}/a", f"file://{tmp_path}/b")
    await storage.get(f"file://{tmp_path}/b", f"file://{tmp_path}/c")
    assert (tmp_path / "c").read_bytes() == b"1"
    assert await storage.exists(f"file://{tmp_path}/c")


async def test_many_files_go_there_and_back(place: Place, here: Path) -> None:
    count = {"local": 10_000, "s3": 1_010, "memory": 300}[place.kind]
    (here / "in").mkdir()
    for number in range(count):
        (here / "in" / f"{number:05}").write_bytes(b"%d" % number)
    _, stored = store(str(here / "in"), place.at("many"), recursive=True)
    assert len(place.names()) == count
    fetch(place.at("many"), here / "out", recursive=True, expected=Expected(stored.digest))
    assert len(os.listdir(here / "out")) == count
    assert (here / "out" / "00299").read_bytes() == b"299"


def test_empty_folders_stay_on_a_disk_and_are_nothing_in_an_object_store(place: Place, here: Path) -> None:
    (here / "in" / "empty").mkdir(parents=True)
    (here / "in" / "file").write_bytes(b"1")
    store(str(here / "in"), place.at("tree"), recursive=True)
    fetch(place.at("tree"), here / "out", recursive=True)
    (here / "there").mkdir()
    fetch(place.at("tree"), here / "there", recursive=True)
    for folder in ("out", "there"):
        assert (here / folder / "empty").is_dir() is (place.kind == "local")
    (here / "nothing").mkdir()
    _, stored = store(str(here / "nothing"), place.at("nothing"), recursive=True)
    assert stored == (0, digest_of_folder([]))
    if place.kind == "local":
        fetch(place.at("nothing"), here / "nothing-back", recursive=True)
        assert os.listdir(here / "nothing-back") == []
    else:
        with pytest.raises(DataNotFoundError):
            fetch(place.at("nothing"), here / "nothing-back", recursive=True)


def test_the_markers_by_which_consoles_keep_folders_are_not_files(s3_place: S3Place, here: Path) -> None:
    for key in ("tree/", "tree/sub/", "tree/sub/deep/"):
        s3_place.give(key, b"")
    s3_place.give("tree/sub/deep/file", b"1")
    fetch(s3_place.at("tree"), here / "out", recursive=True)
    assert files_below(here / "out") == ["sub/deep/file"]
    assert storage.exists_sync(s3_place.at("tree"))


def test_links_are_followed(place: Place, here: Path) -> None:
    (here / "real").mkdir()
    (here / "real" / "file").write_bytes(b"1")
    (here / "in").mkdir()
    (here / "in" / "to-file").symlink_to(here / "real" / "file")
    (here / "in" / "to-folder").symlink_to(here / "real")
    store(str(here / "in"), place.at("tree"), recursive=True)
    assert place.names() == ["tree/to-file", "tree/to-folder/file"]
    assert place.read("tree/to-file") == b"1"
    (here / "link").symlink_to(here / "in")
    store(str(here / "link" / "to-file"), place.at("single"))
    assert place.read("single") == b"1"


def test_the_executable_bit_stays_on_a_disk(tmp_path: Path, here: Path) -> None:
    (here / "in").mkdir()
    for name, mode in (("run.sh", 0o755), ("data", 0o644)):
        (here / "in" / name).write_bytes(b"#!/bin/sh\n")
        (here / "in" / name).chmod(mode)
    store(str(here / "in" / "run.sh"), str(tmp_path / "single"))
    store(str(here / "in"), str(tmp_path / "tree"), recursive=True)
    fetch(str(tmp_path / "tree"), here / "out", recursive=True)
    assert os.access(tmp_path / "single", os.X_OK)
    assert [bool((here / "out" / name).stat().st_mode & 0o111) for name in ("run.sh", "data")] == [True, False]


def test_a_file_that_lies_about_its_size_is_copied_whole(tmp_path: Path) -> None:
    _, stored = store("/proc/self/status", str(tmp_path / "status"))
    assert stored.size == (tmp_path / "status").stat().st_size > 0


def test_what_is_no_file_is_refused_at_once(place: Place, here: Path) -> None:
    os.mkfifo(here / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(here / "socket"))
        for name in ("pipe", "socket"):
            with pytest.raises(WrongKindOfDataError, match=f"{name}: it is a device, pipe or socket"):
                store(str(here / name), place.at("x"))
            with pytest.raises(WrongKindOfDataError, match="device, pipe or socket"):
                store(str(here), place.at("x"), recursive=True)
            for read in (lambda: opened(str(here / name)).__enter__(), lambda: fetch(str(here / name), here / "y")):
                with pytest.raises(WrongKindOfDataError, match="device, pipe or socket"):
                    read()
    assert place.names() == []
    assert sorted(os.listdir(here)) == ["pipe", "socket"]


@pytest.mark.parametrize("size", [0, 1, 100_000, (8 << 20) + 3])
def test_a_reader_seeks_like_a_file(place: Place, size: int) -> None:
    data = content(size)
    place.give("data", data)
    with opened(place.at("data"), "rb", block_size=1 << 20) as file:
        assert (file.readable(), file.writable(), file.seekable()) == (True, False, True)
        assert file.seek(0, os.SEEK_END) == size
        assert file.read() == b""
        assert file.seek(-min(5, size), os.SEEK_END) == size - min(5, size)
        assert file.read() == data[size - min(5, size) :]
        assert file.seek(size // 2) == file.tell() == size // 2
        assert file.read(7) == data[size // 2 : size // 2 + 7]
        here = file.tell()
        assert file.seek(-min(3, here), os.SEEK_CUR) == here - min(3, here)
        assert file.read(10) == data[here - min(3, here) :][:10]
        file.seek(0)
        buffer = bytearray(50)
        assert typing.cast(io.BufferedReader, file).readinto(buffer) == min(50, size)
        assert bytes(buffer[: min(50, size)]) == data[:50]
        file.seek(size + 100)
        assert file.read(1) == b""
        file.seek(0)
        assert file.read() == data
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)
    assert file.closed


def test_text_is_read_by_lines(place: Place) -> None:
    lines = [f"line {number} ÿ\n" for number in range(5_000)]
    with opened(place.at("text"), "w") as file:
        file.write(lines[0])
        file.writelines(lines[1:])
    with opened(place.at("text"), "r") as file:
        assert file.readline() == lines[0]
        assert next(file) == lines[1]
        assert list(file) == lines[2:]
        file.seek(0)
        assert file.readlines() == lines
    with opened(place.at("text"), "rb") as file:
        assert file.readline() == lines[0].encode()
        assert sum(1 for _ in file) == len(lines) - 1


def test_text_has_the_encoding_and_the_line_ends_that_are_asked_for(place: Place) -> None:
    with opened(place.at("text"), "w", encoding="latin-1", newline="\r\n") as file:
        file.write("é\n")
    assert place.read("text") == b"\xe9\r\n"
    with opened(place.at("text"), "r", encoding="ascii", errors="replace") as file:
        assert file.read() == "�\n"


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "lzma"])
def test_compressed_files_read_as_what_was_written(place: Place, compression: str) -> None:
    with opened(place.at("packed"), "w", compression=compression) as file:
        file.write("text " * 10_000)
    assert len(place.read("packed")) < 5_000
    with opened(place.at("packed"), "r", compression=compression) as file:
        assert file.read(9) == "text text"


def test_compression_is_inferred_from_the_name(place: Place) -> None:
    with opened(place.at("data.csv.gz"), "wb", compression="infer") as file:
        file.write(b"1,2")
    assert gzip.decompress(place.read("data.csv.gz")) == b"1,2"
    with opened(place.at("data.csv"), "wb", compression="infer") as file:
        file.write(b"1,2")
    assert place.read("data.csv") == b"1,2"


async def test_an_open_file_is_awaited(place: Place) -> None:
    async with await storage.open(place.at("data"), "wb") as file:
        assert await file.write(b"one\n") == 4
        await file.writelines([b"two\n", b"three"])
        await file.flush()
        assert (file.readable(), file.writable(), file.closed) == (False, True, False)
        assert place.names() == [] or place.begun()
    assert file.closed
    async with await storage.open(place.at("data")) as file:
        assert await file.readline() == b"one\n"
        assert await file.tell() == 4
        assert [line async for line in file] == [b"two\n", b"three"]
        assert await file.seek(0) == 0
        assert await file.readlines() == [b"one\n", b"two\n", b"three"]
        await file.seek(-5, os.SEEK_END)
        assert await file.read(None) == b"three"
        assert file.seekable()
    await file.close()
    async with await storage.open(place.at("data"), "r", encoding="utf-8") as file:
        assert await file.read(3) == "one"


@pytest.mark.parametrize("size", [3, PART + 5])
def test_nothing_is_there_before_the_file_is_closed(place: Place, size: int) -> None:
    with opened(place.at("data"), "wb", block_size=PART) as file:
        file.write(content(size))
        file.flush()
        assert not storage.exists_sync(place.at("data"))
    assert place.read("data") == content(size)


@pytest.mark.parametrize("size", [0, 3, 2 * PART + 5])
@pytest.mark.parametrize("mode", ["w", "wb", "x", "xb"])
def test_what_a_failing_block_wrote_is_nowhere(place: Place, size: int, mode: str) -> None:
    data = content(size)
    with pytest.raises(RuntimeError, match="of the block"):  # noqa: PT012
        with opened(place.at("data"), mode, block_size=PART) as file:
            file.write(data if "b" in mode else "x" * size)
            raise RuntimeError("of the block")
    assert (place.names(), place.begun()) == ([], [])


async def test_what_a_failing_stream_or_awaited_block_wrote_is_nowhere(place: Place) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield content(2 * PART)
        raise RuntimeError("of the stream")

    with pytest.raises(RuntimeError, match="of the stream"):
        await storage.put_stream(failing(), to_path=place.at("data"), chunk_size=PART)
    with pytest.raises(RuntimeError, match="of the block"):  # noqa: PT012
        async with await storage.open(place.at("data"), "wb") as file:
            await file.write(content(2 * PART))
            raise RuntimeError("of the block")
    assert (place.names(), place.begun()) == ([], [])


async def test_a_cancelled_stream_wrote_nothing(place: Place) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield content(2 * PART)
        begun.set()
        await never.wait()

    writing = asyncio.create_task(storage.put_stream(endless(), to_path=place.at("data"), chunk_size=PART))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert (place.names(), place.begun()) == ([], [])


def test_a_failing_block_leaves_what_was_there(place: Place) -> None:
    place.give("data", b"old")
    with pytest.raises(RuntimeError), opened(place.at("data"), "wb") as file:  # noqa: PT012
        file.write(b"new")
        raise RuntimeError
    assert place.read("data") == b"old"
    with opened(place.at("data"), "wb") as file:
        file.write(b"new")
    assert place.read("data") == b"new"


@pytest.mark.parametrize("mode", ["x", "xb", "bx"])
def test_mode_x_writes_new_files_only(place: Place, mode: str) -> None:
    with opened(place.at("data"), mode) as file:
        file.write(b"1" if "b" in mode else "1")
    with pytest.raises(FileExistsError, match="data is there already"), opened(place.at("data"), mode):
        pass
    assert place.read("data") == b"1"


def test_an_opened_file_tells_what_was_stored_and_shows_it_to_a_hasher(place: Place) -> None:
    hasher = hashlib.sha256()
    stored: list[Stored] = []
    with opened(place.at("data"), "wb", hasher=hasher, on_stored=stored.append) as file:
        file.write(b"abc")
    assert stored == [(3, digest_of_bytes(b"abc"))]
    assert hasher.hexdigest() == hashlib.sha256(b"abc").hexdigest()


def test_small_blocks_are_written_in_parts_that_stores_take(place: Place) -> None:
    with opened(place.at("data"), "wb", block_size=1 << 16) as file:
        file.write(content(12 << 20))
    assert place.read("data") == content(12 << 20)


def test_a_reader_finds_out_when_a_file_is_not_what_was_recorded(place: Place) -> None:
    data = content(300_000)
    place.give("good", data)
    place.give("bad", data[:-1])
    expected = Expected(digest_of_bytes(data))
    with opened(place.at("good"), expected=expected) as file:
        assert file.read(0) == b""
        assert file.readline(0) == b""
        assert typing.cast(io.BufferedReader, file).readinto(bytearray(0)) == 0
        assert b"".join(iter(lambda: file.read(10_000), b"")) == data
        file.seek(0)
        assert file.read() == data
        file.seek(5)
        assert file.read() == data[5:]
    with opened(place.at("good"), "r", expected=expected, encoding="latin-1", newline="") as text:
        assert text.read() == data.decode("latin-1")

    def by_pieces(file: IO[bytes]) -> None:
        while file.read(7_000):
            pass

    def into_buffer(file: IO[bytes]) -> None:
        while typing.cast(io.BufferedReader, file).readinto(bytearray(9_000)):
            pass

    for read in (by_pieces, into_buffer, lambda file: file.read(), lambda file: list(file)):
        with (
            pytest.raises(StorageError, match="not what was written"),
            opened(place.at("bad"), expected=expected) as file,
        ):
            read(file)
    with pytest.raises(StorageError, match="not what was written"):
        fetch(place.at("bad"), Path(place.base, "x") if isinstance(place, LocalPlace) else None, expected=expected)


def test_a_hash_that_somebody_else_made_up_lets_anything_pass(place: Place, here: Path) -> None:
    place.give("data", b"x")
    for digest in (None, "", "v1", "blake3:", "sha256:00", digest_of_bytes(b"").upper()):
        fetch(place.at("data"), here / "out", expected=Expected(digest))


async def test_exists_is_true_of_files_and_folders_and_of_nothing_else(place: Place) -> None:
    place.give("tree/file", b"1")
    found = [await storage.exists(place.at(name)) for name in ("tree", "tree/", "tree/file", "tre", "tree/fil", "x/y")]
    assert found == [True, True, True, False, False, False]
    assert storage.exists_sync(place.at("tree/file"))


def test_a_listing_has_names_and_sizes_of_all_files_below_a_folder_only(place: Place) -> None:
    for name, data in {"tree/b": b"22", "tree/a/c": b"", "treehouse": b"1"}.items():
        place.give(name, data)
    listed = [(entry.relative, entry.size) for entry in backend_of(place.base).list_files(place.at("tree"))]
    assert listed == [("a/c", 0), ("b", 2)]
    assert backend_of(place.base).list_files(place.at("none")) == []


def test_readers_of_one_file_do_not_disturb_each_other(place: Place) -> None:
    place.give("data", content(1_000_000))
    with opened(place.at("data")) as one, opened(place.at("data")) as two:
        assert one.read(10) == two.read(10) == content(10)
        two.seek(500)
        assert one.read(10) == content(20)[10:]
