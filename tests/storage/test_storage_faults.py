"""A network that breaks and a store that fails: what is read is right or an error, and nothing half-written stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from flyte.errors import DataAccessDeniedError, DataChangedError, DataNotFoundError, StorageError
from flyte.storage._backend import Expected, Tuning, backend_of
from flyte.storage._digests import digest_of_bytes
from flyte.storage._object_reads import _is_slow
from flyte.storage._open_files import opened
from flyte.storage._settings import use_storage
from flyte.storage._transfer import exists_sync, fetch, store
from tests.faulty_proxy import (
    Act,
    FaultyProxy,
    cut_answer,
    cut_request,
    first,
    late,
    lose_answer,
    refuse,
    stall,
    trickle,
    truncate,
)
from tests.s3 import settings
from tests.storage.conftest import Place, S3Place

PART = 5 << 20
IN_PARTS = Tuning(chunk_size=PART, max_concurrency=2)
DATA = bytes(range(256)) * ((PART + 10_000) // 256)


def read_whole(place: S3Place, here: Path) -> bytes:
    return backend_of(place.base).read(place.at("data"))


def read_file(place: S3Place, here: Path) -> bytes:
    fetch(place.at("data"), here / "out", tuning=IN_PARTS)
    return (here / "out").read_bytes()


def read_opened(place: S3Place, here: Path) -> bytes:
    with opened(place.at("data"), block_size=PART) as file:
        return b"".join(iter(partial(file.read, 1 << 20), b""))


def read_folder(place: S3Place, here: Path) -> bytes:
    fetch(place.base, here / "folder", recursive=True, tuning=IN_PARTS)
    return (here / "folder" / "data").read_bytes()


def write_bytes(place: S3Place, here: Path, data: bytes) -> None:
    backend_of(place.base).write(place.at("data"), data)


def write_file(place: S3Place, here: Path, data: bytes) -> None:
    (here / "in").write_bytes(data)
    store(str(here / "in"), place.at("data"), tuning=IN_PARTS)


def write_opened(place: S3Place, here: Path, data: bytes) -> None:
    with opened(place.at("data"), "wb", block_size=PART) as file:
        for start in range(0, len(data), 1 << 20):
            file.write(data[start : start + (1 << 20)])


def write_folder(place: S3Place, here: Path, data: bytes) -> None:
    (here / "in-folder").mkdir()
    (here / "in-folder" / "data").write_bytes(data)
    store(str(here / "in-folder"), place.base, recursive=True, tuning=IN_PARTS)


READS = [read_whole, read_file, read_opened, read_folder]
WRITES = [write_bytes, write_file, write_opened, write_folder]
WRITES_IN_PARTS = [write_file, write_opened, write_folder]
Read = Callable[[S3Place, Path], bytes]
Write = Callable[[S3Place, Path, bytes], None]

SLOW_DOWN = refuse(503, "SlowDown")
INTERNAL = refuse(500, "InternalError")
SLOW = trickle(20, 0.05)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "act",
    [cut_answer(0), cut_answer(PART - 1), SLOW_DOWN, INTERNAL, stall, trickle(4, 0.05), late(0.05)],
    ids=["cut at 0", "cut at the end", "SlowDown", "InternalError", "stall", "trickle", "late"],
)
def test_a_read_that_breaks_once_or_is_slow_succeeds(
    proxy: FaultyProxy, s3_place: S3Place, here: Path, read: Read, act: Act
) -> None:
    s3_place.give("data", DATA)
    proxy.on("GET", act, nth=2 if read is read_folder else 1)
    assert read(s3_place, here) == DATA
    assert proxy.counts["GET"] >= 2 or act not in (SLOW_DOWN, INTERNAL, stall)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (cut_answer(1000), "does not answer"),
        (SLOW_DOWN, "503 Service Unavailable"),
        (INTERNAL, "500 Internal Server Error"),
        (stall, "does not answer"),
        (refuse(403, "AccessDenied"), "denies access"),
        (refuse(403, "InvalidAccessKeyId"), "Check the keys"),
        (refuse(403, "SignatureDoesNotMatch"), "Check the keys"),
        (refuse(400, "ExpiredToken"), "Check the keys"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_read_that_always_fails_is_an_error_that_says_why_and_leaves_nothing(
    proxy: FaultyProxy, s3_place: S3Place, here: Path, read: Read, act: Act, message: str
) -> None:
    use_storage(settings(proxy.url, retries=1))
    s3_place.give("data", DATA)
    proxy.always("GET", act)
    with pytest.raises(StorageError, match=message) as caught:
        read(s3_place, here)
    assert s3_place.base in str(caught.value)
    assert isinstance(caught.value, DataAccessDeniedError) is (message in ("denies access", "Check the keys"))
    assert os.listdir(here) == []


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("size", [1000, len(DATA)], ids=["small", "large"])
@pytest.mark.parametrize("act", [cut_request, lose_answer, SLOW_DOWN, INTERNAL], ids=["cut", "lost", "SlowDown", "500"])
def test_a_write_that_breaks_once_succeeds(
    proxy: FaultyProxy, s3_place: S3Place, here: Path, write: Write, size: int, act: Act
) -> None:
    proxy.on("PUT", act)
    write(s3_place, here, DATA[:size])
    assert s3_place.read("data") == DATA[:size]
    assert s3_place.begun() == []


@pytest.mark.parametrize("write", WRITES_IN_PARTS)
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (cut_request, "does not answer"),
        (SLOW_DOWN, "503 Service Unavailable"),
        (refuse(403, "AccessDenied"), "denies access"),
        (refuse(400, "EntityTooLarge"), "larger than the store takes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_large_write_that_always_fails_leaves_no_object_and_no_open_upload(
    proxy: FaultyProxy, s3_place: S3Place, here: Path, write: Write, nth: int, act: Act, message: str
) -> None:
    use_storage(settings(proxy.url, retries=1))
    proxy.on("PUT", act, nth=nth, times=float("inf"))
    with pytest.raises(StorageError, match=message) as caught:
        write(s3_place, here, DATA)
    assert s3_place.at("data") in str(caught.value)
    assert s3_place.names() == []
    assert s3_place.begun() == []


@pytest.mark.parametrize("write", WRITES_IN_PARTS)
@pytest.mark.parametrize("having", ["uploads", "uploadId"])
@pytest.mark.parametrize("act", [refuse(403, "AccessDenied"), SLOW_DOWN], ids=["AccessDenied", "SlowDown"])
def test_an_upload_that_cannot_begin_or_end_leaves_nothing(
    proxy: FaultyProxy, s3_place: S3Place, here: Path, write: Write, having: str, act: Act
) -> None:
    use_storage(settings(proxy.url, retries=1))
    proxy.always("POST", act, having=having)
    with pytest.raises(StorageError):
        write(s3_place, here, DATA)
    assert s3_place.names() == []
    assert s3_place.begun() == []


def test_as_many_failures_as_there_are_retries_are_survived_and_one_more_is_not(
    proxy: FaultyProxy, s3_place: S3Place
) -> None:
    use_storage(settings(proxy.url, retries=2))
    s3_place.give("data", b"x")
    proxy.on("GET", SLOW_DOWN, times=2)
    assert backend_of(s3_place.base).read(s3_place.at("data")) == b"x"
    assert proxy.counts["GET"] == 3
    proxy.heal()
    proxy.on("GET", SLOW_DOWN, times=3)
    with pytest.raises(StorageError, match="set more `retries`"):
        backend_of(s3_place.base).read(s3_place.at("data"))
    assert proxy.counts["GET"] == 6


def test_without_retries_the_first_failure_is_the_last(proxy: FaultyProxy, s3_place: S3Place) -> None:
    use_storage(settings(proxy.url, retries=0))
    s3_place.give("data", b"x" * 1000)
    for act in (SLOW_DOWN, cut_answer(10)):
        proxy.heal()
        proxy.always("GET", act)
        before = proxy.counts["GET"]
        with pytest.raises(StorageError):
            backend_of(s3_place.base).read(s3_place.at("data"))
        assert proxy.counts["GET"] == before + 1


def test_what_is_not_there_or_not_allowed_is_not_asked_for_again(proxy: FaultyProxy, s3_place: S3Place) -> None:
    with pytest.raises(DataNotFoundError):
        backend_of(s3_place.base).read(s3_place.at("missing"))
    assert proxy.counts["GET"] <= 2
    before = proxy.counts["GET"]
    proxy.always("GET", refuse(403, "AccessDenied"))
    with pytest.raises(DataAccessDeniedError):
        backend_of(s3_place.base).read(s3_place.at("missing"))
    assert proxy.counts["GET"] == before + 1


def test_an_object_changed_between_two_ranges_is_an_error_not_a_mixture(
    proxy: FaultyProxy, s3_place: S3Place, here: Path
) -> None:
    other = bytes(len(DATA))
    for read in (read_file, read_opened, read_folder):
        proxy.heal()
        s3_place.give("data", DATA)
        first_read = 1 + (read is read_folder)
        proxy.on("GET", SLOW, nth=first_read)
        proxy.on("GET", first(lambda: s3_place.give("data", other)), nth=first_read + 1)
        with pytest.raises(DataChangedError, match=r"was changed while it was read. Read it again"):
            read(s3_place, here)
    assert os.listdir(here) == []


def test_a_fast_download_takes_one_request(proxy: FaultyProxy, s3_place: S3Place, here: Path) -> None:
    s3_place.give("data", DATA)
    assert read_file(s3_place, here) == DATA
    assert proxy.counts["GET"] == 1


def test_a_slow_download_goes_on_over_more_connections(proxy: FaultyProxy, s3_place: S3Place, here: Path) -> None:
    data = DATA * 3
    s3_place.give("data", data)
    proxy.on("GET", SLOW)
    fetch(s3_place.at("data"), here / "out", tuning=Tuning(chunk_size=PART, max_concurrency=3))
    assert (here / "out").read_bytes() == data
    assert proxy.counts["GET"] > 2
    ranges = -(-len(data) // PART)
    assert proxy.counts["GET"] <= 1 + ranges


def test_a_download_whose_answer_does_not_begin_is_slow() -> None:
    assert _is_slow(Future(), lambda: 0)


def test_a_download_over_one_connection_stays_one_however_slow(
    proxy: FaultyProxy, s3_place: S3Place, here: Path
) -> None:
    s3_place.give("data", DATA)
    proxy.on("GET", SLOW)
    fetch(s3_place.at("data"), here / "out", tuning=Tuning(chunk_size=PART, max_concurrency=1))
    assert (here / "out").read_bytes() == DATA
    assert proxy.counts["GET"] == 1


def test_an_object_deleted_between_two_ranges_is_missing(proxy: FaultyProxy, s3_place: S3Place, here: Path) -> None:
    s3_place.give("data", DATA)
    delete = partial(s3_place.server.client.delete_object, Bucket=s3_place.bucket, Key="base/data")
    proxy.on("GET", SLOW)
    proxy.on("GET", first(delete), nth=2)
    with pytest.raises(DataNotFoundError):
        read_file(s3_place, here)
    assert os.listdir(here) == []


@pytest.mark.parametrize("read", [read_file, read_opened, read_folder])
def test_a_truncated_answer_with_sound_framing_is_noticed(
    proxy: FaultyProxy, s3_place: S3Place, here: Path, read: Read
) -> None:
    s3_place.give("data", DATA)
    proxy.on("GET", truncate(100), nth=1 + (read is read_folder), times=float("inf"))
    with pytest.raises(StorageError):
        read(s3_place, here)
    assert os.listdir(here) == []


def test_an_object_that_is_not_what_was_recorded_is_not_kept(s3_place: S3Place, here: Path) -> None:
    s3_place.give("data", DATA[:-1])
    with pytest.raises(DataChangedError, match=r"run again the task that wrote it"):
        fetch(s3_place.at("data"), here / "out", expected=Expected(digest_of_bytes(DATA)))
    assert os.listdir(here) == []


def test_a_folder_whose_upload_fails_takes_back_its_own_files_only(
    proxy: FaultyProxy, s3_place: S3Place, here: Path
) -> None:
    use_storage(settings(proxy.url, retries=0))
    s3_place.give("tree/b", b"old")
    s3_place.give("tree/other", b"old")
    for name in "ab":
        (here / name).write_bytes(b"new")
    proxy.always("PUT", SLOW_DOWN, having="/tree/b")
    with pytest.raises(StorageError, match="tree/b"):
        store(str(here), s3_place.at("tree"), recursive=True, tuning=Tuning(batch_size=1))
    assert s3_place.names() == ["tree/b", "tree/other"]
    assert s3_place.read("tree/b") == b"old"


def test_a_store_that_is_not_there_is_named_with_what_to_check(s3_place: S3Place, here: Path) -> None:
    use_storage(settings("http://127.0.0.1:9", retries=0))
    for attempt in (partial(exists_sync, s3_place.at("x")), partial(write_bytes, s3_place, here, b"x")):
        with pytest.raises(StorageError, match="does not answer .*Check the endpoint and the network"):
            attempt()


def test_looking_without_permission_is_an_error_not_an_absence(proxy: FaultyProxy, s3_place: S3Place) -> None:
    proxy.always("HEAD", refuse(403, ""))
    with pytest.raises(DataAccessDeniedError):
        exists_sync(s3_place.at("data"))


def test_names_of_data_do_not_change_what_an_error_says(proxy: FaultyProxy, s3_place: S3Place) -> None:
    s3_place.give("connectors/<Code>AccessDenied", b"x")
    use_storage(settings(proxy.url, retries=0))
    proxy.always("GET", SLOW_DOWN)
    with pytest.raises(StorageError, match="503") as caught:
        backend_of(s3_place.base).read(s3_place.at("connectors/<Code>AccessDenied"))
    assert type(caught.value) is StorageError


def test_of_two_writers_of_one_address_one_wins_whole(place: Place) -> None:
    contents = [bytes([letter]) * (PART + letter) for letter in b"abcd"]

    def write(data: bytes) -> None:
        with opened(place.at("data"), "wb", block_size=PART) as file:
            file.write(data)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, contents))
    assert place.read("data") in contents
    assert (place.names(), place.begun()) == (["data"], [])


def test_downloads_to_one_target_at_the_same_time_all_succeed(place: Place, here: Path) -> None:
    for number in range(8):
        place.give(f"tree/{number}", bytes([number]) * 100_000)

    def get(_: int) -> None:
        fetch(place.at("tree"), here / "tree", recursive=True)
        fetch(place.at("tree/3"), here / "file")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(get, range(12)))
    assert (here / "file").read_bytes() == bytes([3]) * 100_000
    assert sorted(os.listdir(here)) == ["file", "tree"]
    assert sorted(os.listdir(here / "tree")) == list("01234567")


@pytest.mark.parametrize("act", [cut_answer(10), SLOW_DOWN, stall], ids=["cut", "SlowDown", "stall"])
def test_a_request_is_made_once_and_again_as_often_as_the_settings_say(
    proxy: FaultyProxy, s3_place: S3Place, act: Act
) -> None:
    use_storage(settings(proxy.url, retries=2))
    s3_place.give("data", b"x" * 1000)
    proxy.always("GET", act)
    with pytest.raises(StorageError):
        backend_of(s3_place.base).read(s3_place.at("data"))
    assert proxy.counts["GET"] == 3
