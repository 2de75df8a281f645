"""Rules that hold for all addresses, reads and contents."""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flyte.errors import InvalidAddressError
from flyte.storage import is_remote, join
from flyte.storage._addresses import absolute, base_name, below, checked_relative, parents_of, protocol_of
from flyte.storage._backend import Expected
from flyte.storage._digests import (
    Digester,
    digest_of_bytes,
    digest_of_file,
    digest_of_folder,
    is_digest,
)
from flyte.storage._object_streams import ObjectWriting, RangeReader
from flyte.storage._open_files import opened
from tests.storage.conftest import LocalPlace, MemoryPlace

in_a_function_scoped_folder = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
FOLDERS = ["/folder", "s3://bucket/folder", "s3://bucket/folder/", "memory://folder", "gs://bucket"]
path_like = st.text(st.sampled_from("ab./\\~:%?# \0é")) | st.text()
part = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text not in (".", "..")
)
relative_path = st.lists(part, min_size=1, max_size=5).map("/".join)


@given(folder=st.sampled_from(FOLDERS), relative=path_like)
def test_what_is_below_a_folder_stays_in_it(folder: str, relative: str) -> None:
    with suppress(InvalidAddressError):
        address = below(folder, relative)
        root = folder.rstrip("/") + "/"
        assert address == root + relative
        assert posixpath.normpath(address.replace("://", "/")).startswith(root.replace("://", "/"))
        assert protocol_of(address) == protocol_of(folder)


@given(relative=relative_path)
def test_a_path_of_sound_parts_is_accepted_as_it_is(relative: str) -> None:
    assert checked_relative(relative) == relative
    assert parents_of(relative) == [relative[:end] for end, letter in enumerate(relative) if letter == "/"]


@given(
    folder=st.sampled_from(FOLDERS), parts=st.lists(part.filter(lambda text: "://" not in text), min_size=1, max_size=4)
)
def test_the_base_name_of_joined_parts_is_the_last_one(folder: str, parts: list[str]) -> None:
    address = join(folder, *parts)
    assert base_name(address) == base_name(f"{address}/") == parts[-1]
    assert is_remote(address) is is_remote(folder)


@given(address=st.text())
def test_any_text_has_one_protocol_and_one_absolute_form(address: str) -> None:
    assert protocol_of(address)
    with suppress(InvalidAddressError):
        assert absolute(absolute(address)) == absolute(address)


step = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 400)),
    st.tuples(st.just("readinto"), st.integers(0, 400)),
    st.tuples(st.just("readline"), st.integers(-1, 100)),
    st.tuples(st.just("seek"), st.integers(0, 1200)),
    st.tuples(st.just("forward"), st.integers(-300, 300)),
    st.tuples(st.just("from end"), st.integers(-1200, 100)),
    st.tuples(st.just("tell"), st.just(0)),
)


def take(file: io.BufferedIOBase, what: str, number: int) -> object:
    """What one step gives."""
    match what:
        case "readinto":
            buffer = bytearray(number)
            return file.readinto(buffer), bytes(buffer)
        case "seek":
            return file.seek(number)
        case "forward":
            return file.seek(max(file.tell() + number, 0) - file.tell(), os.SEEK_CUR)
        case "from end":
            size = file.seek(0, os.SEEK_END)
            return file.seek(max(number, -size), os.SEEK_END)
        case "tell":
            return file.tell()
        case "readline":
            return file.readline(number)
        case _:
            return file.read(number)


@hypothesis_settings(deadline=None)
@given(
    data=st.binary(max_size=1000),
    steps=st.lists(step, max_size=20),
    chunk_size=st.integers(1, 300),
    buffer_size=st.sampled_from([1, 16, 8192]),
)
def test_a_reader_by_ranges_reads_like_a_file(
    data: bytes, steps: list[tuple[str, int]], chunk_size: int, buffer_size: int
) -> None:
    def get_range(start: int, end: int) -> bytes:
        assert 0 <= start < end <= len(data)
        return data[start:end]

    expected = io.BytesIO(data)
    with io.BufferedReader(RangeReader(get_range, len(data), chunk_size), buffer_size) as found:
        for what, number in steps:
            assert take(found, what, number) == take(expected, what, number)


@in_a_function_scoped_folder
@given(data=st.binary(max_size=300), reads=st.lists(st.integers(0, 50), max_size=20))
def test_a_verified_file_reads_as_it_is_in_pieces_of_any_size(
    data: bytes, reads: list[int], memory_place: MemoryPlace
) -> None:
    memory_place.give("data", data)
    with opened(memory_place.at("data"), expected=Expected(digest_of_bytes(data))) as file:
        pieces = [file.read(size) for size in reads]
        assert b"".join(pieces) + file.read() == data


@given(pieces=st.lists(st.binary(max_size=50)))
def test_a_digest_of_pieces_is_that_of_the_whole(pieces: list[bytes]) -> None:
    digester = Digester()
    for piece in pieces:
        digester.update(piece)
    assert digester.digest() == digest_of_bytes(b"".join(pieces))
    assert is_digest(digester.digest())


tree = st.dictionaries(relative_path, st.binary(max_size=8), max_size=6)


def digest_of_tree(files: dict[str, bytes], order: Callable[[list[str]], list[str]] = sorted) -> str:
    return digest_of_folder((name, digest_of_bytes(files[name])) for name in order(list(files)))


@given(files=tree, random=st.randoms())
def test_the_digest_of_a_folder_does_not_depend_on_the_order_of_its_files(
    files: dict[str, bytes], random: Random
) -> None:
    def shuffled(names: list[str]) -> list[str]:
        random.shuffle(names)
        return names

    assert digest_of_tree(files, shuffled) == digest_of_tree(files)


@given(one=tree, other=tree)
def test_folders_with_different_files_have_different_digests(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (digest_of_tree(one) == digest_of_tree(other)) is (one == other)


@given(files=tree.filter(bool), data=st.data())
def test_the_digest_of_a_folder_changes_with_each_name_and_byte(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    rest = {other: content for other, content in files.items() if other != name}
    whole = digest_of_tree(files)
    assert digest_of_tree({**rest, f"{name}x": files[name]}) != whole
    assert digest_of_tree({**rest, name: files[name] + b"x"}) != whole
    assert digest_of_tree(rest) != whole


@hypothesis_settings(deadline=None, max_examples=50)
@given(pieces=st.lists(st.binary(max_size=3_000_000) | st.binary(max_size=10), max_size=8))
def test_an_object_written_in_pieces_is_the_whole(pieces: list[bytes]) -> None:
    given_: list[bytes] = []
    writing = ObjectWriting("s3://bucket/key", given_.extend)
    for piece in pieces:
        assert writing.write(piece) == len(piece)
    writing.close()
    whole = b"".join(pieces)
    assert b"".join(given_) == whole
    assert writing.stored == (len(whole), digest_of_bytes(whole))


@in_a_function_scoped_folder
@given(pieces=st.lists(st.binary(max_size=1000)))
def test_a_local_file_written_in_pieces_is_the_whole(pieces: list[bytes], local_place: LocalPlace) -> None:
    stored: list[object] = []
    with opened(local_place.at("data"), "wb", on_stored=stored.append) as file:
        for piece in pieces:
            file.write(piece)
    whole = b"".join(pieces)
    assert local_place.read("data") == whole
    assert stored == [(len(whole), digest_of_bytes(whole))]
    assert digest_of_file(Path(local_place.at("data"))) == digest_of_bytes(whole)
