"""Settings from files and the environment, typed."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from flyte import config
from flyte.config import Config, auto, set_if_exists
from flyte.config._config import ImageConfig, LocalConfig, PlatformConfig, TaskConfig
from flyte.errors import InitializationError


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings anywhere: neither files nor variables."""
    for name in list(os.environ):
        if name.startswith(("FLYTE_", "UCTL_", "FLYTECTL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def load(text: str) -> Config:
    Path("settings.yaml").write_text(text)
    return auto("settings.yaml")


# Key in the file, what stands there, section and field, and the value the field then has.
KEYS = [
    ("admin.endpoint", "dns:///h:80", "platform.endpoint", "dns:///h:80"),
    ("admin.insecure", "true", "platform.insecure", True),
    ("admin.insecureSkipVerify", "yes", "platform.insecure_skip_verify", True),
    ("admin.caCertFilePath", "/ca.pem", "platform.ca_cert_file_path", "/ca.pem"),
    ("admin.httpProxyURL", "http://p", "platform.http_proxy_url", "http://p"),
    ("admin.disableKeyring", "on", "platform.disable_keyring", True),
    ("admin.authType", "DeviceFlow", "platform.auth_mode", "DeviceFlow"),
    ("admin.command", "echo 'a b' c", "platform.command", ["echo", "a b", "c"]),
    ("admin.proxyCommand", '["echo", "a b"]', "platform.proxy_command", ["echo", "a b"]),
    ("admin.clientId", "me", "platform.client_id", "me"),
    ("admin.scopes", "a, b c", "platform.scopes", ["a", "b", "c"]),
    ("console.endpoint", "http://c", "platform.console_endpoint", "http://c"),
    ("task.org", "o", "task.org", "o"),
    ("task.project", "p", "task.project", "p"),
    ("task.domain", "d", "task.domain", "d"),
    ("image.builder", "remote", "image.builder", "remote"),
    ("image.image_refs", '{"a": "b:1"}', "image.image_refs", {"a": "b:1"}),
    ("image.registry", "ghcr.io/x", "image.registry", "ghcr.io/x"),
    ("local.persistence", "1", "local.persistence", True),
    ("local.tracked", "True", "local.tracked", True),
    ("local.tracked_strict", "true", "local.tracked_strict", True),
    ("local.retention_days", "0.5", "local.retention_days", 0.5),
    ("local.retention_runs", "100", "local.retention_runs", 100),
]


def in_file(key: str, value: str) -> str:
    section, name = key.split(".")
    return f"{section}:\n  {name}: {value}\n"


def expected(dotted: str, value: Any) -> Config:
    section, name = dotted.split(".")
    return dataclasses.replace(Config(), **{section: dataclasses.replace(getattr(Config(), section), **{name: value})})


@pytest.mark.parametrize(("key", "text", "dotted", "value"), KEYS, ids=[key for key, *_ in KEYS])
def test_key_in_the_file_sets_its_field(key: str, text: str, dotted: str, value: Any) -> None:
    found = load(in_file(key, text))
    assert found == dataclasses.replace(expected(dotted, value), source=Path("settings.yaml"))


@pytest.mark.parametrize(("key", "text", "dotted", "value"), KEYS, ids=[key for key, *_ in KEYS])
def test_variable_sets_the_field_without_any_file(
    key: str, text: str, dotted: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FLYTE_{key.upper().replace('.', '_')}", text)
    assert auto() == expected(dotted, value)


def test_defaults_without_file_and_variables() -> None:
    assert auto() == Config()
    assert Config().source is None
    platform = PlatformConfig()
    assert (platform.auth_mode, platform.rpc_retries, platform.scopes, platform.insecure) == ("Pkce", 3, [], False)
    assert (TaskConfig().org, ImageConfig().image_refs, LocalConfig().persistence) == (None, {}, False)


def test_variable_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_ADMIN_ENDPOINT", "env")
    monkeypatch.setenv("FLYTE_TASK_ORG", "")
    found = load("admin:\n  endpoint: file\ntask:\n  org: file\n")
    assert (found.platform.endpoint, found.task.org) == ("env", "file")


@pytest.mark.parametrize("text", ["false", "False", "no", "off", "0"])
def test_false_in_a_variable_is_false(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_ADMIN_INSECURE", text)
    assert load("admin:\n  insecure: true\n").platform.insecure is False


def test_number_where_text_is_meant_is_text() -> None:
    assert load("task:\n  org: 5\n").task.org == "5"


def test_lists_and_mappings_may_be_yaml() -> None:
    found = load("admin:\n  scopes: [a, b]\n  command: [echo, 1]\nimage:\n  image_refs: {a: b}\n")
    assert (found.platform.scopes, found.platform.command) == (["a", "b"], ["echo", "1"])
    assert found.image.image_refs == {"a": "b"}


def test_image_refs_may_be_pairs() -> None:
    assert load("image:\n  image_refs: a=r/x:1, b=r/y:2\n").image.image_refs == {"a": "r/x:1", "b": "r/y:2"}


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        ("admin.insecure", "maybe", "expected true or false"),
        ("local.retention_days", "-1", "expected a number above 0"),
        ("local.retention_days", "nan", "expected a number above 0"),
        ("local.retention_runs", "1.5", "expected a whole number from 1"),
        ("admin.authType", "pkce", "did you mean 'Pkce'?"),
        ("admin.command", "'[1'", "expected a JSON array"),
        ("admin.command", '"a \'b"', "No closing quotation"),
        ("image.image_refs", "q", "expected a mapping"),
        ("image.image_refs", "'{q'", "expected a JSON object"),
        ("admin.endpoint", "[a]", "expected text"),
    ],
)
def test_value_that_cannot_be_understood_is_named_with_its_place(key: str, text: str, told: str) -> None:
    with pytest.raises(InitializationError, match=rf"'{key}' in settings\.yaml is .*") as caught:
        load(in_file(key, text))
    assert told in str(caught.value)


def test_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_LOCAL_TRACKED", "2")
    with pytest.raises(InitializationError, match="environment variable FLYTE_LOCAL_TRACKED is '2': expected true"):
        auto()


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("FLYTE_AUTH_TYPE", "Passthrough", "auth_mode", "Passthrough"),
        ("FLYTE_AUTH_COMMAND", "echo b", "command", ["echo", "b"]),
        ("FLYTE_AUTH_PROXY_COMMAND", "echo b", "proxy_command", ["echo", "b"]),
    ],
)
def test_alias_wins_and_a_differing_twin_is_reported(
    variable: str, text: str, name: str, value: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = {"auth_mode": "AUTHTYPE", "command": "COMMAND", "proxy_command": "PROXYCOMMAND"}[name]
    monkeypatch.setenv(variable, text)
    monkeypatch.setenv(f"FLYTE_ADMIN_{key}", "other")
    with caplog.at_level(logging.WARNING, logger="flyte"):
        assert getattr(auto().platform, name) == value
    assert f"{variable} and FLYTE_ADMIN_{key} differ" in caplog.text


def test_client_secret_in_a_file_switches_the_way_to_identify(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    platform = load(f"admin:\n  authType: Pkce\n  clientSecretLocation: {tmp_path}/secret\n").platform
    assert (platform.client_credentials_secret, platform.auth_mode) == ("s3cret", "ClientSecret")
    assert "s3cret" not in repr(platform)


def test_client_secret_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "admin:\n  clientSecretEnvVar: MY_SECRET\n"
    assert load(text).platform == PlatformConfig()
    monkeypatch.setenv("MY_SECRET", "s")
    assert load(text).platform == PlatformConfig(client_credentials_secret="s", auth_mode="ClientSecret")


def test_client_secret_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InitializationError, match=r"clientSecretLocation.*'/missing', which cannot be read"):
        load("admin:\n  clientSecretLocation: /missing\n")


def test_with_params_replaces_what_is_given() -> None:
    config = Config(source=Path("c.yaml"), local=LocalConfig(persistence=True))
    changed = config.with_params(task=TaskConfig(org="o"))
    assert changed == dataclasses.replace(config, task=TaskConfig(org="o"))
    assert config.with_params() == config


def test_platform_of_an_endpoint() -> None:
    assert PlatformConfig.for_endpoint("h", insecure=True) == PlatformConfig(endpoint="h", insecure=True)
    assert PlatformConfig("h").replace(audience="a") == PlatformConfig("h", audience="a")


def test_sections_read_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_TASK_ORG", "o")
    monkeypatch.setenv("FLYTE_IMAGE_BUILDER", "b")
    monkeypatch.setenv("FLYTE_LOCAL_TRACKED", "yes")
    assert (TaskConfig.auto().org, ImageConfig.auto().builder, LocalConfig.auto().tracked) == ("o", "b", True)


def test_sections_are_frozen() -> None:
    for section in (Config(), PlatformConfig(), TaskConfig(), ImageConfig(), LocalConfig()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(section, dataclasses.fields(section)[0].name, None)


@pytest.mark.parametrize(
    ("value", "kept"), [(0, False), ("", False), ([], False), (None, False), (False, True), (True, True), ("x", True)]
)
def test_only_values_that_say_something_are_set(value: Any, kept: bool) -> None:
    assert set_if_exists({}, "k", value) == ({"k": value} if kept else {})


def test_exported_names() -> None:
    assert config.__all__ == ["Config", "auto", "get_config_file", "home", "set_if_exists"]
