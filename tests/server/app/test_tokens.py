"""Tokens that let callers in."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flyte._server.task_token import TOKEN_FILE, task_token
from flyte._server.tokens import TOKENS_FILE, TokenStore
from flyte.errors import RuntimeUserError


def test_a_token_is_known_by_its_name_and_kept_as_a_hash_that_others_cannot_read(flyte_home: Path) -> None:
    store = TokenStore(flyte_home)
    token = store.create("ada")
    file = flyte_home / TOKENS_FILE
    assert store.name_of(token) == "ada"
    assert token.encode() not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in TokenStore(flyte_home).list()] == ["ada"]


def test_what_is_not_a_token_has_no_name(flyte_home: Path) -> None:
    store = TokenStore(flyte_home)
    token = store.create("ada")
    for guess in ("", token[:-1], token + "x", token.upper(), store.list()[0].digest, "\udcff"):
        assert store.name_of(guess) is None


def test_changes_of_another_process_are_in_force_at_once(flyte_home: Path) -> None:
    server, command = TokenStore(flyte_home), TokenStore(flyte_home)
    assert server.list() == []
    first, second = command.create("a"), command.create("b")
    assert (server.name_of(first), server.name_of(second)) == ("a", "b")
    command.delete("a")
    assert (server.name_of(first), server.name_of(second)) == (None, "b")


def test_a_name_is_taken_once_and_deleted_by_it(flyte_home: Path) -> None:
    store = TokenStore(flyte_home)
    store.create("laptop")
    with pytest.raises(RuntimeUserError, match="already") as taken:
        store.create("laptop")
    with pytest.raises(RuntimeUserError, match="Did you mean 'laptop'") as unknown:
        store.delete("labtop")
    assert (taken.value.code, unknown.value.code) == ("TokenExists", "TokenNotFound")


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 64, "ä", "a\n"])
def test_a_name_has_few_characters(flyte_home: Path, name: str) -> None:
    with pytest.raises(RuntimeUserError) as bad:
        TokenStore(flyte_home).create(name)
    assert bad.value.code == "BadTokenName"


def test_tokens_created_at_the_same_time_are_all_kept(flyte_home: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda name: TokenStore(flyte_home).create(name), "abcdefgh"))
    assert sorted(map(str, map(TokenStore(flyte_home).name_of, tokens))) == list("abcdefgh")


def test_the_token_of_attempts_outlives_the_server_and_is_private(flyte_home: Path) -> None:
    token = task_token(flyte_home)
    assert task_token(flyte_home) == token
    assert stat.S_IMODE((flyte_home / TOKEN_FILE).stat().st_mode) == 0o600


def test_a_token_of_attempts_that_was_cut_short_lets_nobody_in(flyte_home: Path) -> None:
    flyte_home.mkdir(exist_ok=True)
    for left in ("", "flyte_task_"):
        file = flyte_home / TOKEN_FILE
        file.unlink(missing_ok=True)
        # As a server leaves it that is killed while it makes the file.
        file.write_text(left)
        token = task_token(flyte_home)
        assert len(token) > 50
        assert task_token(flyte_home) == token
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
