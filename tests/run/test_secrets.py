from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import flyte
from flyte._store.secrets import FOLDER, SecretStore
from flyte.cli._root import flyte as command
from flyte.errors import RuntimeUserError, StoreError

VALUE = "s3cr3t-of-the-test"

env = flyte.TaskEnvironment(name="guarded", secrets=[flyte.Secret("my-key", as_env_var="T_SECRET")])
grouped = flyte.TaskEnvironment(name="grouped", secrets=[flyte.Secret("key", group="team")])


@env.task
async def measure() -> int:
    return len(os.environ["T_SECRET"])


@grouped.task
async def measure_grouped() -> int:
    return len(os.environ["TEAM_KEY"])


def flyte_command(*arguments: str, typed: str | None = None) -> Any:
    return CliRunner().invoke(command, list(arguments), input=typed)


def test_a_secret_comes_from_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_SECRET", "12345")
    assert flyte.run(measure).outputs().o0 == 5


def test_a_secret_comes_from_the_store_of_this_machine_while_the_run_lasts(flyte_home: Path) -> None:
    SecretStore(flyte_home).put("my-key", None, VALUE.encode())
    assert flyte.run(measure).outputs().o0 == len(VALUE)
    assert "T_SECRET" not in os.environ


def test_the_environment_wins_over_the_store(flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SecretStore(flyte_home).put("my-key", None, VALUE.encode())
    monkeypatch.setenv("T_SECRET", "1")
    assert flyte.run(measure).outputs().o0 == 1


def test_groups_are_name_spaces(flyte_home: Path) -> None:
    store = SecretStore(flyte_home)
    store.put("key", None, b"another")
    with pytest.raises(RuntimeUserError, match="flyte create secret key --group team"):
        flyte.run(measure_grouped)
    store.put("key", "team", b"123")
    assert flyte.run(measure_grouped).outputs().o0 == 3


def test_a_missing_secret_fails_the_task_with_both_ways_to_give_it() -> None:
    with pytest.raises(RuntimeUserError, match="'my-key'.*T_SECRET.*flyte create secret my-key") as caught:
        flyte.run(measure)
    assert caught.value.code == "SecretNotFound"


def test_a_value_is_in_no_byte_that_a_run_writes(flyte_home: Path) -> None:
    SecretStore(flyte_home).put("my-key", None, VALUE.encode())
    flyte.run(measure)
    written = [path for path in flyte_home.rglob("*") if path.is_file() and FOLDER not in path.parts]
    assert written
    assert not [path for path in written if VALUE.encode() in path.read_bytes()]


def test_only_their_owner_may_read_secrets(flyte_home: Path) -> None:
    store = SecretStore(flyte_home)
    store.put("my-key", None, VALUE.encode())
    assert stat.S_IMODE((flyte_home / FOLDER).stat().st_mode) == 0o700
    assert stat.S_IMODE((flyte_home / FOLDER / "_" / "my-key").stat().st_mode) == 0o600
    (flyte_home / FOLDER).chmod(0o755)
    with pytest.raises(StoreError, match="chmod 700"):
        store.load("my-key", None)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 129, "a b"])
def test_a_name_that_would_leave_the_folder_is_refused(flyte_home: Path, name: str) -> None:
    with pytest.raises(RuntimeUserError, match="cannot name a secret"):
        SecretStore(flyte_home).put(name, None, b"v")
    assert not (flyte_home / FOLDER).exists()


@pytest.mark.parametrize("value", [b"", b"a\0b"])
def test_a_value_that_no_variable_can_hold_is_refused(flyte_home: Path, value: bytes) -> None:
    with pytest.raises(RuntimeUserError, match="value for secret 'k'"):
        SecretStore(flyte_home).put("k", None, value)


def test_the_command_line_keeps_lists_and_deletes_secrets_and_shows_no_value(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text(VALUE)
    assert flyte_command("create", "secret", "one", "--from-file", str(file)).exit_code == 0
    assert flyte_command("create", "secret", "two", "--group", "team", typed=f"{VALUE}\n").exit_code == 0
    listed = flyte_command("get", "secret")
    assert "one" in listed.output
    assert "team" in listed.output
    assert VALUE not in listed.output
    assert flyte_command("delete", "secret", "one").exit_code == 0
    assert '"name":"two"' in flyte_command("-of", "json-raw", "get", "secret").output.replace(" ", "")
    gone = flyte_command("delete", "secret", "twoo", "--group", "team")
    assert gone.exit_code == 2
    assert "Did you mean 'two'" in gone.output


def test_a_value_is_given_in_one_way(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text(VALUE)
    both = flyte_command("create", "secret", "one", "--from-file", str(file), "--value", "x")
    assert both.exit_code == 2
    assert "not with both" in both.output
