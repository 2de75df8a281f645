"""Every bad input is refused with an error that names it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import flyte.storage as storage
from flyte.errors import (
    DataNotFoundError,
    InitializationError,
    InvalidAddressError,
    NotInTaskContextError,
    StorageError,
    WrongKindOfDataError,
)
from flyte.storage import ABFS, GCS, S3, Storage
from flyte.storage._addresses import below, checked_relative, join
from flyte.storage._backend import Tuning
from flyte.storage._open_files import opened
from flyte.storage._parts import _from_environment
from flyte.storage._settings import settings_for
from flyte.storage._transfer import content_address, store
from tests.storage.conftest import LocalPlace, Place, S3Place, files_below

ADDRESSES = [
    "",
    "\0",
    "a\0b",
    "file://",
    "file:///a\0b",
    "s3://",
    "s3:///key",
    "s3a://",
    "gs://",
    "abfs://",
    "az:///key",
    "s3://bucket/a\0b",
    "s3://bucket/\0",
    "s3://bucket/../key",
    "s3://bucket/folder/../key",
    "s3://bucket/./key",
    "s3://bucket/" + "k" * 1025,
    "s3://bucket/" + "é" * 513,
    "s3://bucket/not-unicode-\udcff",
    "s3://bu cket/key",
    "nope://bucket/key",
    "x-y.z+1://key",
    "dropbox://key",
]
"""Nothing can be at these addresses, or nothing here can reach them."""

VERBS: dict[str, Callable[[str, Path], Coroutine[Any, Any, Any]]] = {
    "exists": lambda address, here: storage.exists(address),
    "get": lambda address, here: storage.get(address, here / "out"),
    "get folder": lambda address, here: storage.get(address, here / "out", recursive=True),
    "put": lambda address, here: storage.put(str(here / "in" / "file"), address),
    "put folder": lambda address, here: storage.put(str(here / "in"), address, recursive=True),
    "put bytes": lambda address, here: storage.put_stream(b"x", to_path=address),
    "put stream": lambda address, here: storage.put_stream(giving(b"x"), to_path=address),
    "get stream": lambda address, here: anext(storage.get_stream(address)),
    "open to read": lambda address, here: storage.open(address, "rb"),
    "open to write": lambda address, here: write_to(address),
}

RELATIVES = [
    "",
    ".",
    "..",
    "/",
    "/absolute",
    "//double",
    "../up",
    "a/..",
    "a/../../b",
    "a/../b",
    "a//b",
    "a/./b",
    "./a",
    "a/",
    "a\0b",
    "a\\b",
    "..\\up",
    "C:\\windows",
    "s3://bucket/key",
    "file:///etc/passwd",
    "http://host/x",
]

MODES = ["", "a", "ab", "r+", "rb+", "w+", "x+", "rw", "wx", "rt+", "bt", "rbt", "rr", "rbb", "U", "z", "READ"]

OPTIONS: dict[str, dict[str, Any]] = {
    "compression zip": {"compression": "zip"},
    "compression in capitals": {"compression": "GZIP"},
    "no compression": {"compression": ""},
    "block of nothing": {"block_size": 0},
    "negative block": {"block_size": -1},
    "block of half a byte": {"block_size": 0.5},
    "block of text": {"block_size": "1024"},
    "unknown encoding": {"encoding": "no-such-encoding"},
    "number as encoding": {"encoding": 8},
    "bad newline": {"newline": "x"},
}

TUNINGS: list[dict[str, Any]] = [
    {name: value}
    for name in ("batch_size", "chunk_size", "max_concurrency")
    for value in (0, -1, 1.5, "8", float("inf"))
]

SETTINGS: list[tuple[Callable[..., Storage], dict[str, Any]]] = [
    *((kind, {"retries": -1}) for kind in (Storage, S3, GCS, ABFS)),
    *((kind, {"backoff": timedelta(seconds=-1)}) for kind in (Storage, S3, GCS, ABFS)),
    (S3, {"addressing_style": "subdomain"}),
    (S3, {"addressing_style": ""}),
    *(
        (S3, {"endpoint": text})
        for text in ("nonsense", "localhost:9000", "ftp://host", "http://", "http://[", "http://h:x")
    ),
    (S3, {"endpoint": "http://host:0"}),
    (S3, {"endpoint": "http://host:99999"}),
    (S3, {"endpoint": "//host"}),
]

VARIABLES = [
    *(("FLYTE_STORAGE_RETRIES", text) for text in ("many", "1.5", "-1", "1e3", "0x2")),
    *(("FLYTE_STORAGE_BACKOFF_SECONDS", text) for text in ("soon", "-1", "nan", "inf", "1h")),
    *(("FLYTE_STORAGE_DEBUG", text) for text in ("maybe", "2", "-")),
    ("FLYTE_AWS_S3_ADDRESSING_STYLE", "subdomain"),
    *(("FLYTE_AWS_ENDPOINT", text) for text in ("minio", "minio:9000", "tcp://minio")),
]

NUMBERS = [
    (name, text)
    for name in ("FLYTE_IO_BATCH_SIZE", "FLYTE_IO_CHUNK_SIZE", "FLYTE_IO_MAX_CONCURRENCY")
    for text in ("0", "-1", "many", "1.5", " ", "1k")
]


async def giving(*pieces: Any) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


async def write_to(address: str) -> None:
    async with await storage.open(address, "wb") as file:
        await file.write(b"x")


@pytest.fixture
def full(here: Path) -> Path:
    """A local folder with something to upload in it."""
    (here / "in").mkdir()
    (here / "in" / "file").write_bytes(b"1")
    return here


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: ascii(address[:30]))
def test_an_address_that_nothing_can_be_at_is_refused_whatever_is_done_with_it(
    s3_place: S3Place, full: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(full)
    address = address.replace("s3://bucket/", f"s3://{s3_place.bucket}/")
    expected = StorageError if address == "dropbox://key" else InvalidAddressError
    for verb, attempt in VERBS.items():
        with pytest.raises(expected) as caught:
            asyncio.run(attempt(address, full))
        message = str(caught.value)
        assert address in message or repr(address) in message, verb
        assert (files_below(full), os.listdir(full)) == (["in/file"], ["in"]), verb
    assert s3_place.names() == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("address", ["s3://no-such-bucket/key", "s3://no-such-bucket", "s3://no-such-bucket/a/b"])
def test_a_bucket_that_does_not_exist_is_named(s3_place: S3Place, full: Path, address: str, verb: str) -> None:
    if verb == "exists":
        assert not storage.exists_sync(address)
        return
    with pytest.raises((DataNotFoundError, InvalidAddressError), match="bucket") as caught:
        asyncio.run(VERBS[verb](address, full))
    assert address in str(caught.value)
    assert files_below(full) == ["in/file"]


@pytest.mark.parametrize(
    "verb", ["get", "put", "put bytes", "put stream", "get stream", "open to read", "open to write"]
)
def test_a_bucket_alone_is_no_address_of_a_file(s3_place: S3Place, full: Path, verb: str) -> None:
    for address in (f"s3://{s3_place.bucket}", f"s3://{s3_place.bucket}/"):
        with pytest.raises(InvalidAddressError, match="names a bucket, not a file in it: add a path"):
            asyncio.run(VERBS[verb](address, full))
    assert s3_place.names() == []


@pytest.mark.parametrize("verb", ["get", "get folder", "get stream", "open to read"])
def test_what_is_not_there_is_named(place: Place, full: Path, verb: str) -> None:
    for name in ("missing", "deep/missing", "missing/"):
        with pytest.raises(DataNotFoundError, match=r"there is nothing there. Check the path") as caught:
            asyncio.run(VERBS[verb](place.at(name), full))
        assert place.at(name).rstrip("/") in str(caught.value)
        assert isinstance(caught.value, FileNotFoundError | ValueError)
    assert os.listdir(full) == ["in"]


@pytest.mark.parametrize("relative", RELATIVES, ids=ascii)
def test_a_relative_path_that_may_lead_elsewhere_is_refused(relative: str) -> None:
    for use in (checked_relative, partial(below, "s3://bucket/folder"), partial(below, "/folder")):
        with pytest.raises(InvalidAddressError, match="cannot name a file in a folder"):
            use(relative)


@pytest.mark.parametrize("part", ["/absolute", "s3://other/key", "file:///etc", "//x"])
def test_a_url_is_joined_with_relative_parts_only(part: str) -> None:
    with pytest.raises(InvalidAddressError, match="is an address of its own"):
        join("s3://bucket", part)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_that_files_at_addresses_do_not_have_is_refused(place: Place, mode: str) -> None:
    for attempt in (
        lambda: opened(place.at("x"), mode).__enter__(),
        lambda: asyncio.run(storage.open(place.at("x"), mode)),
    ):
        with pytest.raises(ValueError, match=r"mode .* is not possible"):
            attempt()
    assert (place.names(), place.begun()) == ([], [])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("mode", ["r", "w"])
def test_an_option_that_makes_no_sense_is_refused(place: Place, mode: str, options: dict[str, Any]) -> None:
    place.give("there", b"1")
    with pytest.raises((ValueError, LookupError, TypeError)), opened(place.at("there"), mode, **options):
        pass
    assert (place.names(), place.begun()) == (["there"], [])
    assert place.read("there") == b"1"


@pytest.mark.parametrize("tuning", TUNINGS, ids=str)
def test_a_tuning_that_makes_no_sense_is_refused(place: Place, full: Path, tuning: dict[str, Any]) -> None:
    (name,) = tuning
    with pytest.raises(ValueError, match=f"{name} is .*: expected a whole number from 1"):
        Tuning(**tuning)
    with pytest.raises(ValueError, match=name):
        asyncio.run(storage.put(str(full / "in" / "file"), place.at("x"), **tuning))
    assert place.names() == []


@pytest.mark.parametrize("chunk_size", [0, -1, 0.5, "1"])
def test_chunks_of_a_stream_have_a_size(place: Place, chunk_size: Any) -> None:
    place.give("data", b"1")
    with pytest.raises(ValueError, match="chunk_size"):
        asyncio.run(anext(storage.get_stream(place.at("data"), chunk_size)))
    with pytest.raises(ValueError, match="chunk_size"):
        asyncio.run(storage.put_stream(giving(b"x"), to_path=place.at("x"), chunk_size=chunk_size))
    assert place.names() == ["data"]


@pytest.mark.parametrize(("kind", "values"), SETTINGS, ids=str)
def test_settings_that_make_no_sense_are_refused(kind: Callable[..., Storage], values: dict[str, Any]) -> None:
    with pytest.raises(InitializationError) as caught:
        kind(**values)
    assert caught.value.code == "InvalidStorageSetting"
    assert next(iter(values)) in str(caught.value)


@pytest.mark.parametrize(("variable", "text"), VARIABLES)
def test_a_variable_that_makes_no_sense_is_refused(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(InitializationError) as caught:
        settings_for("s3")
    assert caught.value.code == "InvalidStorageSetting"
    assert text in str(caught.value)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"])
def test_an_endpoint_of_the_environment_is_a_url(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "nonsense")
    with pytest.raises(InitializationError, match=f"{variable} is 'nonsense': expected the URL"):
        storage.exists_sync("s3://bucket/key")


@pytest.mark.parametrize(("variable", "text"), NUMBERS)
def test_a_variable_of_transfers_is_a_whole_number(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(InitializationError, match=f"{variable} is .*: expected a whole number from 1"):
        _from_environment(variable, 8)


def test_a_folder_is_no_file_and_a_file_is_no_folder(place: Place, full: Path) -> None:
    place.give("folder/file", b"1")
    at, file = place.at("folder"), place.at("folder/file")
    attempts: list[Coroutine[Any, Any, Any]] = [
        storage.get(at, full / "out"),
        anext(storage.get_stream(at)),
        storage.open(at),
        storage.get(file, full / "out", recursive=True),
        storage.put(str(full / "in"), place.at("x")),
        storage.put(str(full / "in" / "file"), place.at("x"), recursive=True),
    ]
    if isinstance(place, LocalPlace):
        # An object store may have both an object and others below it.
        attempts += [
            storage.put(str(full / "in" / "file"), at),
            storage.put(str(full / "in"), file, recursive=True),
            storage.put_stream(b"x", to_path=at),
            write_to(at),
        ]
    if not isinstance(place, S3Place):
        attempts += [storage.put_stream(b"x", to_path=f"{file}/below"), write_to(f"{file}/below")]
    for attempt in attempts:
        with pytest.raises(WrongKindOfDataError, match=r"\. Use "):
            asyncio.run(attempt)
    assert place.names() == ["folder/file"]
    assert os.listdir(full) == ["in"]


def test_what_is_in_the_way_on_this_machine_stays(place: Place, full: Path) -> None:
    place.give("folder/file", b"new")
    (full / "taken" / "file").mkdir(parents=True)
    (full / "plain").write_bytes(b"old")
    attempts = [
        storage.get(place.at("folder"), full / "taken", recursive=True),
        storage.get(place.at("folder"), full / "plain", recursive=True),
        storage.get(place.at("folder/file"), full / "taken"),
        storage.get(place.at("folder/file"), full / "plain" / "below"),
        storage.get(place.at("folder"), full / "plain" / "below", recursive=True),
    ]
    for attempt in attempts:
        with pytest.raises(StorageError) as caught:
            asyncio.run(attempt)
        assert str(full) in str(caught.value)
        assert str(caught.value).count(". ") >= 1, "there is a next step"
    assert files_below(full) == ["in/file", "plain"]
    assert sorted(os.listdir(full)) == ["in", "plain", "taken"]
    assert (full / "plain").read_bytes() == b"old"


def test_a_folder_of_this_machine_takes_no_other_folders_place(tmp_path: Path, full: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").write_bytes(b"1")
    with pytest.raises(StorageError, match="something is there already. Use a new address"):
        store(str(full / "in"), str(tmp_path / "there"), recursive=True)
    assert files_below(tmp_path / "there") == ["old"]


@pytest.mark.parametrize("source", ["dangling", "loop", "folder-with-dangling", "folder-with-loop", "missing"])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_link_that_leads_nowhere_is_named(place: Place, here: Path, source: str, recursive: bool) -> None:
    for name, target in (("dangling", "nothing"), ("loop", "loop")):
        (here / name).symlink_to(here / target)
        (here / f"folder-with-{name}").mkdir()
        (here / f"folder-with-{name}" / "first").write_bytes(b"1")
        (here / f"folder-with-{name}" / name).symlink_to("nothing" if name == "dangling" else "..")
    (here / "folder-with-loop" / "loop").unlink()
    (here / "folder-with-loop" / "loop").symlink_to(".")
    with pytest.raises(StorageError, match=str(here / source)) as caught:
        asyncio.run(storage.put(str(here / source), place.at("x"), recursive=recursive))
    assert "." in str(caught.value)
    assert place.names() == []


def test_data_moves_between_this_machine_and_addresses_only(place: Place, s3_place: S3Place, full: Path) -> None:
    remote = s3_place.give("x", b"1")
    for attempt in (storage.put(remote, place.at("y")), storage.get(place.give("y", b"1"), remote)):
        with pytest.raises(InvalidAddressError, match="is not on this machine: give a local path there"):
            asyncio.run(attempt)
    assert not Path("s3:").exists()


@pytest.mark.parametrize("data", ["text", 1, None, [b"x"]], ids=str)
def test_only_bytes_are_written(place: Place, data: Any) -> None:
    for given in (data, giving(b"x", data)):
        with pytest.raises(TypeError):
            asyncio.run(storage.put_stream(given, to_path=place.at("x")))
    assert (place.names(), place.begun()) == ([], [])


def test_outside_a_task_an_address_is_due(full: Path) -> None:
    for attempt in (
        storage.put(str(full / "in" / "file")),
        storage.put_stream(b"x"),
        storage.put_stream(b"x", name="a"),
    ):
        with pytest.raises(NotInTaskContextError, match="give the address to write to"):
            asyncio.run(attempt)
    with pytest.raises(NotInTaskContextError):
        content_address("blake3:00", "x")


def test_names_that_could_not_be_read_back_are_not_stored(s3_place: S3Place, here: Path) -> None:
    for number, name in enumerate([b"back\\slash", b"not-unicode-\xff"]):
        folder = here / str(number)
        folder.mkdir()
        (folder / "a").write_bytes(b"1")
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"2")
        with pytest.raises(InvalidAddressError):
            store(str(folder), s3_place.at("tree"), recursive=True)
    assert s3_place.names() == []


def test_a_hostile_listing_leads_nowhere(s3_place: S3Place, here: Path) -> None:
    for key in ("tree/a//b", "tree/a\\b"):
        s3_place.give(key, b"x")
        with pytest.raises(StorageError):
            asyncio.run(storage.get(s3_place.at("tree"), here / "out", recursive=True))
        s3_place.server.client.delete_object(Bucket=s3_place.bucket, Key=f"base/{key}")
    assert os.listdir(here) == []


def test_so_many_bad_inputs_are_tried() -> None:
    tables = [ADDRESSES, RELATIVES, MODES, OPTIONS, TUNINGS, SETTINGS, VARIABLES, NUMBERS]
    assert sum(map(len, tables)) >= 130
