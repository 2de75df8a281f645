"""How stores are reached: from settings, the environment and Amazon's files, in that order."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte.storage as storage
from flyte.errors import InitializationError, StorageError
from flyte.storage import ABFS, GCS, S3, Local, Storage
from flyte.storage._aws_profile import profile_arguments
from flyte.storage._backend import backend_of
from flyte.storage._objects import _place
from flyte.storage._settings import settings_for, use_storage
from flyte.storage._transfer import fetch, store
from tests.faulty_proxy import FaultyProxy, refuse
from tests.s3 import Impatient, S3Server, settings
from tests.storage.conftest import S3Place

RETRIES = {
    "max_retries": 3,
    "backoff": {"base": 2, "init_backoff": timedelta(seconds=5), "max_backoff": timedelta(seconds=16)},
    "retry_timeout": timedelta(minutes=3),
}
CLIENT = {"timeout": "99999s", "read_timeout": timedelta(minutes=1), "allow_http": True}
COMMON: dict[str, Any] = {"retry_config": RETRIES, "client_options": CLIENT}


@pytest.mark.parametrize(
    ("given", "config"),
    [
        (Storage(), {}),
        (GCS(), {}),
        (S3(), {}),
        (S3(access_key_id="a", secret_access_key="b"), {"access_key_id": "a", "secret_access_key": "b"}),
        (S3(endpoint="http://h:1", access_key_id="a"), {"endpoint": "http://h:1", "access_key_id": "a"}),
        (S3(addressing_style="virtual"), {"virtual_hosted_style_request": True}),
        (S3(addressing_style="path"), {"virtual_hosted_style_request": False}),
        (S3(addressing_style="auto"), {}),
        (ABFS(), {}),
        (ABFS(account_name="n", account_key="k"), {"account_name": "n", "account_key": "k"}),
        (
            ABFS(tenant_id="t", client_id="c", client_secret="s"),
            {"tenant_id": "t", "client_id": "c", "client_secret": "s"},
        ),
    ],
    ids=repr,
)
def test_settings_become_arguments_of_a_store(given: Storage, config: dict[str, Any]) -> None:
    assert given.get_fsspec_kwargs() == {**COMMON, **({"config": config} if config else {})}
    assert given.get_fsspec_kwargs(anonymous=True) == {**COMMON, "config": {**config, "skip_signature": True}}


def test_the_region_of_s3_is_an_argument_of_its_own() -> None:
    assert S3(region="eu-north-1").get_fsspec_kwargs() == {**COMMON, "region": "eu-north-1"}
    assert S3(region="eu-north-1").get_fsspec_kwargs(region="x")["region"] == "x"


def test_given_arguments_win_and_config_is_merged() -> None:
    made = S3(endpoint="http://h:1", access_key_id="a").get_fsspec_kwargs(
        config={"endpoint": "http://other"}, client_options={}
    )
    assert made["config"] == {"endpoint": "http://other", "access_key_id": "a"}
    assert made["client_options"] == {}


def test_a_backoff_longer_than_its_bound_is_its_own_bound() -> None:
    made = Storage(retries=7, backoff=timedelta(seconds=20)).get_fsspec_kwargs()["retry_config"]
    assert made["max_retries"] == 7
    assert made["backoff"] == {"base": 2, "init_backoff": timedelta(seconds=20), "max_backoff": timedelta(seconds=20)}


def test_local_files_take_no_arguments() -> None:
    assert Local().get_fsspec_kwargs() == {}
    assert Local().flush


def test_the_sandbox_has_its_endpoint_and_keys() -> None:
    assert S3.for_sandbox() == S3(
        endpoint="http://localhost:4566", access_key_id="minio", secret_access_key="miniostorage"
    )


def test_settings_have_the_fields_of_the_other_implementations_in_order() -> None:
    base = ["retries", "backoff", "enable_debug", "attach_execution_metadata"]
    fields = {kind: [field.name for field in dataclasses.fields(kind)] for kind in (Storage, GCS, S3, ABFS)}
    assert fields == {
        Storage: base,
        GCS: base,
        S3: [*base, "endpoint", "access_key_id", "secret_access_key", "region", "addressing_style"],
        ABFS: [*base, "account_name", "account_key", "tenant_id", "client_id", "client_secret"],
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        S3().retries = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, S3()),
        ({"FLYTE_STORAGE_RETRIES": "7", "FLYTE_STORAGE_BACKOFF_SECONDS": "0.5"}, S3(7, timedelta(seconds=0.5))),
        ({"FLYTE_STORAGE_DEBUG": "true"}, S3(enable_debug=True)),
        ({"FLYTE_STORAGE_DEBUG": "NO"}, S3()),
        ({"FLYTE_STORAGE_RETRIES": "", "FLYTE_AWS_ENDPOINT": ""}, S3()),
        ({"FLYTE_AWS_ENDPOINT": "http://h"}, S3(endpoint="http://h")),
        (
            {"FLYTE_AWS_ACCESS_KEY_ID": "a", "FLYTE_AWS_SECRET_ACCESS_KEY": "b"},
            S3(access_key_id="a", secret_access_key="b"),
        ),
        ({"FLYTE_AWS_S3_ADDRESSING_STYLE": "path", "AWS_REGION": "r"}, S3(addressing_style="path", region="r")),
        ({"FLYTE_STORAGE_RETRIES": "1"}, GCS(1)),
        ({"FLYTE_STORAGE_RETRIES": "0"}, Local(0)),
        ({"FLYTE_STORAGE_RETRIES": "0", "FLYTE_AWS_ENDPOINT": "http://h"}, Storage(0)),
        (
            {"AZURE_STORAGE_ACCOUNT_NAME": "n", "AZURE_STORAGE_ACCOUNT_KEY": "k"},
            ABFS(account_name="n", account_key="k"),
        ),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"},
            ABFS(tenant_id="t", client_id="c", client_secret="s"),
        ),
    ],
    ids=str,
)
def test_auto_reads_the_environment(
    variables: dict[str, str], expected: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert type(expected).auto() == expected


def test_a_region_that_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "env")
    assert S3.auto().region == "env"
    assert S3.auto(region="given").region == "given"


def test_a_repr_shows_no_secret() -> None:
    shown = repr(S3(access_key_id="visible", secret_access_key="hidden-1"))
    shown += repr(ABFS(account_name="visible", account_key="hidden-2", client_secret="hidden-3"))
    assert "hidden" not in shown
    assert shown.count("***") == 3
    assert shown.count("visible") == 2
    assert repr(S3()).endswith("secret_access_key=None, region=None, addressing_style=None)")


def test_settings_are_those_given_then_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_AWS_ENDPOINT", "http://env")
    assert settings_for("s3") == settings_for("s3a") == S3(endpoint="http://env")
    use_storage(S3(region="given"))
    assert settings_for("s3") == S3(region="given")
    assert settings_for("gs") == GCS()
    assert settings_for("file") == Local()
    use_storage(GCS(retries=9))
    assert settings_for("gs").retries == 9
    assert settings_for("s3") == S3(endpoint="http://env")
    use_storage(Storage(retries=8, enable_debug=True))
    assert settings_for("s3") == S3(8, enable_debug=True, endpoint="http://env")
    assert {settings_for(protocol).retries for protocol in ("gs", "abfs", "az", "file", "memory")} == {8}
    use_storage(Local(flush=False))
    assert settings_for("file") == Local(flush=False)
    assert settings_for("s3").retries == 3


def test_the_arguments_that_are_configured_are_those_of_the_given_storage() -> None:
    assert storage.get_configured_fsspec_kwargs() == COMMON
    use_storage(S3(endpoint="http://h"))
    assert storage.get_configured_fsspec_kwargs() == {**COMMON, "config": {"endpoint": "http://h"}}
    assert storage.get_configured_fsspec_kwargs("s3", anonymous=True)["config"]["skip_signature"] is True
    assert storage.get_configured_fsspec_kwargs("gs") == COMMON
    assert storage.get_configured_fsspec_kwargs("file") == storage.get_configured_fsspec_kwargs("local") == {}


# Amazon's files


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with Amazon's files, which name three profiles."""
    folder = tmp_path / "aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = default-key\naws_secret_access_key = default%secret\n"
        "[work]\naws_access_key_id = work-key\naws_secret_access_key = work-secret\naws_session_token = token\n"
    )
    (folder / "config").write_text(
        "[default]\nregion = eu-west-1\n"
        "[profile work]\nregion = eu-north-1\nendpoint_url = http://work:9000\naws_access_key_id = loses\n"
        "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = work\nregion = us-west-2\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    return folder


WORK = {
    "access_key_id": "work-key",
    "secret_access_key": "work-secret",
    "session_token": "token",
    "region": "eu-north-1",
    "endpoint": "http://work:9000",
}


def test_a_named_profile_is_read_from_both_files(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert profile_arguments() == WORK
    assert S3().get_fsspec_kwargs() == {**COMMON, "config": WORK}
    made = S3(endpoint="http://given").get_fsspec_kwargs()["config"]
    assert made == {**WORK, "endpoint": "http://given"}


def test_the_default_profile_is_used_where_nothing_else_says(aws: Path) -> None:
    assert profile_arguments() == {
        "access_key_id": "default-key",
        "secret_access_key": "default%secret",
        "region": "eu-west-1",
    }


def test_keys_of_the_environment_win_over_the_default_profile_and_a_named_one_over_them(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "env")
    assert profile_arguments() == {}
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert profile_arguments() == WORK
    monkeypatch.setenv("AWS_REGION", "env")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://env")
    assert not {"region", "endpoint"} & set(profile_arguments())


def test_keys_that_are_given_and_anonymous_requests_look_at_no_profile(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    given = S3(access_key_id="a", secret_access_key="b").get_fsspec_kwargs()
    assert given["config"] == {"access_key_id": "a", "secret_access_key": "b"}
    assert S3().get_fsspec_kwargs(anonymous=True)["config"] == {"skip_signature": True}


def test_a_profile_that_is_not_there_is_named(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "wrok")
    with pytest.raises(InitializationError, match=r"AWS_PROFILE is 'wrok'.*credentials.*config") as caught:
        storage.exists_sync("s3://bucket/key")
    assert caught.value.code == "InvalidStorageSetting"


def test_no_files_are_no_profile() -> None:
    assert profile_arguments() == {}


@pytest.mark.parametrize("content", [b"no section\n", b"[default\n", b"\xff\xfe[default]\n", b"[default]\n[default]\n"])
def test_a_file_that_cannot_be_read_is_named(aws: Path, content: bytes) -> None:
    (aws / "credentials").write_bytes(content)
    with pytest.raises(InitializationError, match=r"credentials cannot be read"):
        profile_arguments()


def test_an_endpoint_of_a_profile_is_a_url(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (aws / "config").write_text("[profile work]\nendpoint_url = work:9000\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    with pytest.raises(InitializationError, match="endpoint_url of profile 'work' is 'work:9000'"):
        profile_arguments()


def test_a_profile_without_keys_is_left_to_boto3(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "role")
    made = S3().get_fsspec_kwargs()
    assert type(made["credential_provider"]).__name__ == "Boto3CredentialProvider"
    assert made["config"] == {"region": "us-west-2"}


def test_a_profile_reaches_a_store(aws: Path, s3: S3Server, s3_place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (aws / "config").write_text(f"[profile work]\nendpoint_url = {s3.url}\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    use_storage(None)
    s3_place.give("data", b"x")
    assert storage.exists_sync(s3_place.at("data"))
    assert storage.exists_sync(s3_place.at("data").replace("s3://", "S3A://"))


# Stores


def test_file_systems_of_fsspec_reach_what_is_stored(s3_place: S3Place, here: Path) -> None:
    s3_place.give("folder/data", b"x")
    for made in (
        storage.get_underlying_filesystem("s3"),
        storage.get_underlying_filesystem(path=s3_place.at("folder")),
    ):
        assert made.ls(s3_place.at("folder"), detail=False) == [f"{s3_place.bucket}/base/folder/data"]
        assert made.cat_file(s3_place.at("folder/data")) == b"x"
    (here / "data").write_bytes(b"1")
    assert storage.get_underlying_filesystem(path=str(here)).ls(str(here), detail=False) == [str(here / "data")]
    assert storage.get_underlying_filesystem("memory").protocol == "memory"
    with pytest.raises(ValueError, match="needs a protocol or a path"):
        storage.get_underlying_filesystem()
    with pytest.raises(ValueError, match="nope"):
        storage.get_underlying_filesystem("nope")


@pytest.mark.parametrize(
    ("address", "shown", "key"),
    [
        ("gs://bucket/a/b c", 'GCSStore(bucket="bucket")', "a/b c"),
        ("abfs://box/a", 'AzureStore(container_name="box", account_name="account")', "a"),
        ("abfss://box@account.dfs.core.windows.net/a", 'AzureStore(container_name="box", account_name="account")', "a"),
        ("az://box", 'AzureStore(container_name="box", account_name="account")', ""),
        ("azure://box/a/", 'AzureStore(container_name="box", account_name="account")', "a"),
        ("adl://box/a", 'AzureStore(container_name="box", account_name="account")', "a"),
        ("s3a://bucket/a", 'S3Store(bucket="bucket")', "a"),
        ("S3://bucket/a#b?c", 'S3Store(bucket="bucket")', "a#b?c"),
    ],
)
def test_an_address_is_a_store_and_a_key_in_it(
    address: str, shown: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    place = _place(address)
    assert (repr(place.store), place.key) == (shown, key)


def test_azure_without_an_account_says_so() -> None:
    with pytest.raises(StorageError, match="Account must be specified"):
        storage.exists_sync("abfs://box/a")


def test_half_of_the_credentials_are_an_error() -> None:
    use_storage(S3(access_key_id="a", endpoint="http://127.0.0.1:9"))
    with pytest.raises(StorageError, match="SecretAccessKey"):
        storage.exists_sync("s3://bucket/a")


def test_a_store_is_made_once_for_each_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    first = _place("s3://bucket/a").store
    assert _place("s3://bucket/b").store is first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "new")
    assert _place("s3://bucket/a").store is not first


def test_retries_wait_as_long_as_the_settings_say(proxy: FaultyProxy, s3_place: S3Place) -> None:
    shared = {field.name: getattr(settings(proxy.url), field.name) for field in dataclasses.fields(S3)}
    use_storage(Impatient(**{**shared, "retries": 2, "backoff": timedelta(milliseconds=150)}))
    proxy.always("GET", refuse(503, "SlowDown"))
    began = time.monotonic()
    with pytest.raises(StorageError):
        backend_of(s3_place.base).read(s3_place.at("data"))
    # The first wait is the backoff; the second is a random one between it and its double.
    assert 0.3 <= time.monotonic() - began < 3
    assert proxy.counts["GET"] == 3


def test_a_transfer_is_logged_where_debugging_is_on(
    s3: S3Server, s3_place: S3Place, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (here / "data").write_bytes(b"x")
    with caplog.at_level(logging.INFO, "flyte.storage"):
        store(str(here / "data"), s3_place.at("quiet"))
        assert caplog.text == ""
        use_storage(dataclasses.replace(settings(s3.url), enable_debug=True))
        store(str(here / "data"), s3_place.at("data"))
        fetch(s3_place.at("data"), here / "back")
    assert [record.name for record in caplog.records] == ["flyte.storage"] * 2
    assert f"wrote {s3_place.at('data')}" in caplog.text
    assert f"read {s3_place.at('data')}" in caplog.text
    assert "secret-of-tests" not in caplog.text


def test_polars_is_told_how_to_reach_the_store(s3: S3Server, s3_place: S3Place) -> None:
    use_storage(S3(endpoint="http://h", access_key_id="a", secret_access_key="b", region="r", addressing_style="path"))
    assert backend_of("s3://x").arguments_for_polars("s3://bucket/x") == {
        "storage_options": {
            "aws_endpoint": "http://h",
            "aws_access_key_id": "a",
            "aws_secret_access_key": "b",
            "aws_region": "r",
            "aws_virtual_hosted_style_request": "false",
            "allow_http": "true",
        }
    }
    assert backend_of("/x").arguments_for_polars("/x") == {}


def test_random_local_places_are_new_and_keep_names() -> None:
    folder = storage.get_random_local_directory()
    assert folder.is_dir()
    assert folder.name.startswith("flyte-tmp-")
    path = storage.get_random_local_path("a/b/data.csv")
    assert path.name == "data.csv"
    assert not path.exists()
    assert os.listdir(path.parent) == []
    assert storage.get_random_local_path() != storage.get_random_local_path()


def test_the_public_names_are_these() -> None:
    assert sorted(storage.__all__) == sorted(
        "ABFS GCS S3 Local Storage exists exists_sync get get_configured_fsspec_kwargs get_random_local_directory "
        "get_random_local_path get_stream get_underlying_filesystem is_remote join open put put_stream".split()
    )
    for name in storage.__all__:
        assert name in dir(storage)
        assert getattr(storage, name) is getattr(storage, name)
    with pytest.raises(AttributeError, match="nothing"):
        storage.nothing  # noqa: B018
