"""Files that are whole or absent."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from flyte._atomic import write_atomically


def test_last_write_stays_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a" / "inputs.pb"
    write_atomically(target, b"first")
    write_atomically(target, b"second")
    assert target.read_bytes() == b"second"
    assert os.listdir(target.parent) == ["inputs.pb"]


def test_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_atomically(target, b"x")
    assert os.listdir(tmp_path) == ["taken"]


def test_of_writers_at_the_same_time_one_wins_whole(tmp_path: Path) -> None:
    contents = [bytes([letter]) * 200_000 for letter in b"abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(write_atomically, tmp_path / "page"), contents))
    assert (tmp_path / "page").read_bytes() in contents
    assert os.listdir(tmp_path) == ["page"]
