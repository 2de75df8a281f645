"""Files whose methods are awaited: small writes go together, and what is in memory is read without a thread."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from flyte import storage
from flyte.errors import DataChangedError, StorageError
from flyte.io import File
from flyte.storage import _open_files


async def written(pieces: list[Any], mode: str = "wb") -> File[Any]:
    file: File[Any] = File.new_remote("made")
    async with file.open(mode) as opened:
        for piece in pieces:
            assert await opened.write(piece) == len(piece)
    return file


async def content(file: File[Any]) -> bytes:
    async with file.open("rb") as opened:
        data: bytes = await opened.read()
    return data


async def test_many_small_writes_are_one_file_in_their_order(raw_data: Path) -> None:
    pieces = [b"%d," % number for number in range(10_000)]
    file = await written(pieces)
    assert await content(file) == b"".join(pieces)
    text = await written(["ä", "b" * 5_000_000, "c"], "w")
    assert await content(text) == ("ä" + "b" * 5_000_000 + "c").encode()


async def test_small_writes_cost_no_thread_each(raw_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    to_thread = asyncio.to_thread

    async def counted(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        calls.append(function)
        return await to_thread(function, *args, **kwargs)

    monkeypatch.setattr(asyncio, "to_thread", counted)
    file = await written([b"x"] * 1000)
    assert len(calls) < 10
    calls.clear()
    async with file.open("rb") as opened:
        for _ in range(900):
            assert await opened.read(1) == b"x"
    # Linux tells what is in memory.
    assert len(calls) < 10 or not hasattr(os, "RWF_NOWAIT")


async def test_what_was_written_counts_for_every_other_method(raw_data: Path) -> None:
    file: File[Any] = File.new_remote("made")
    async with file.open("wb") as opened:
        await opened.write(b"abc")
        await opened.writelines([b"d", b"e"])
        await opened.write(b"f")
        await opened.flush()
        assert await opened.write(memoryview(b"gh")) == 2
        await opened.write(b"i")
    assert await content(file) == b"abcdefghi"


async def test_a_block_that_fails_leaves_no_file_whatever_waits_to_be_written(raw_data: Path) -> None:
    file: File[Any] = File.new_remote("made")
    with pytest.raises(LookupError):  # noqa: PT012
        async with file.open("wb") as opened:
            await opened.write(b"abc")
            raise LookupError
    assert not file.exists_sync()


@pytest.mark.parametrize("way", ["File.open", "storage.open"])
async def test_a_write_that_fails_at_the_end_fails_the_block_and_leaves_nothing(
    raw_data: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    address = str(raw_data / "full")
    raw_data.mkdir(exist_ok=True)
    opening = File(path=address).open("wb") if way == "File.open" else await storage.open(address, "wb")
    with pytest.raises((StorageError, OSError), match="No space left"):  # noqa: PT012
        async with opening as opened:
            await opened.write(b"abc")
            monkeypatch.setattr(_open_files, "_write_each", full)
    assert os.listdir(raw_data) == []


@pytest.mark.parametrize(("mode", "data"), [("wb", "text"), ("w", b"bytes"), ("rb", b"bytes")])
async def test_what_cannot_be_written_is_refused_at_once(raw_data: Path, mode: str, data: Any) -> None:
    file = await written([b"x"]) if mode == "rb" else File.new_remote("made")
    with pytest.raises((TypeError, OSError)):
        async with file.open(mode) as opened:
            await opened.write(data)


async def test_a_closed_file_takes_no_writes(raw_data: Path) -> None:
    opened = await storage.open(str(raw_data / "closed"), "wb")
    async with opened:
        await opened.write(b"x")
    with pytest.raises(ValueError, match="closed"):
        await opened.write(b"y")


async def test_changed_data_is_noticed_however_it_is_read(raw_data: Path) -> None:
    file = await written([b"a" * 3_000_000])
    Path(file.path).write_bytes(b"a" * 2_999_999 + b"b")
    for size in (100_000, 1 << 20, 8 << 20):
        with pytest.raises(DataChangedError):  # noqa: PT012
            async with file.open("rb") as opened:
                while await opened.read(size):
                    pass


async def test_reading_lets_others_have_their_turn(raw_data: Path) -> None:
    file = await written([b"x" * 2_000_000])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    async with file.open("rb") as opened:
        while await opened.read(1_000):
            pass
    beside.cancel()
    assert turns > 1_000
