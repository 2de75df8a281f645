"""What `with_runcontext` says, as a control plane is told."""

from __future__ import annotations

import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.common.run_pb2 import RELATION_TYPE_RECOVER, RELATION_TYPE_RERUN
from flyteidl2.task.run_pb2 import CACHE_LOOKUP_SCOPE_PROJECT_DOMAIN

import flyte
from conformance.peer import Peer
from flyte.errors import CodeBundleError, ImageBuildError, InitializationError
from flyte.models import RawDataPath
from tests.remote.programs import double


def test_every_setting_is_in_the_request(peer: Peer) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    flyte.with_runcontext(
        name="named",
        version="v7",
        project="other",
        domain="staging",
        labels={"l": "1"},
        annotations={"a": "1"},
        env_vars={"B": "2"},
        queue="q",
        interruptible=False,
        overwrite_cache=True,
        service_account="account",
        max_action_concurrency=4,
        raw_data_path=RawDataPath(path="s3://bucket/raw"),
        run_base_dir="/base",
        run_start_time=at,
        custom_context={"c": "d"},
        cache_lookup_scope="project-domain",
        log_level=10,
        log_format="json",
        user_log_level=30,
        reset_root_logger=True,
    ).run(double, x=3)
    (request,) = peer.requests("CreateRun")
    assert (request.run_id.name, request.run_id.project, request.run_id.domain) == ("named", "other", "staging")
    assert request.task_spec.task_template.id.version == "v7"
    assert request.task_spec.task_template.id.project == "other"
    spec = request.run_spec
    assert spec.labels.values == {"l": "1"}
    assert spec.annotations.values == {"a": "1"}
    assert {each.key: each.value for each in spec.envs.values} == {
        "B": "2",
        "LOG_LEVEL": "10",
        "LOG_FORMAT": "json",
        "USER_LOG_LEVEL": "30",
        "FLYTE_RESET_ROOT_LOGGER": "1",
    } | {each.key: each.value for each in spec.envs.values if each.key == "_F_SYS_PATH"}
    assert spec.HasField("interruptible")
    assert spec.interruptible.value is False
    assert (spec.queue, spec.overwrite_cache, spec.max_action_concurrency) == ("q", True, 4)
    assert spec.security_context.run_as.k8s_service_account == "account"
    assert spec.raw_data_storage.raw_data_prefix == "s3://bucket/raw"
    assert spec.run_base_dir == "/base"
    assert spec.cache_config.cache_lookup_scope == CACHE_LOOKUP_SCOPE_PROJECT_DOMAIN
    assert request.run_start_time.ToDatetime(tzinfo=UTC) == at
    uploaded = peer.requests("UploadInputs")[0]
    assert uploaded.base_dir == "/base"
    assert {each.key: each.value for each in uploaded.inputs.context} == {"c": "d"}


@pytest.fixture(autouse=True)
def _log_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flyte.logger, "level", flyte.logger.level)
    monkeypatch.setattr(flyte.system_logger, "level", flyte.system_logger.level)


def test_a_dry_run_sends_nothing_and_shows_all(peer: Peer, tmp_path: Path) -> None:
    would_be: Any = flyte.with_runcontext(dry_run=True, copy_bundle_to=tmp_path / "bundle").run(double, x=3)
    assert peer.recorded == []
    assert would_be.name == "dry-run"
    assert would_be.task_spec.task_template.id.name == "digits.double"
    assert double.codec.decode_inputs(would_be.inputs) == {"x": 3, "y": "a"}
    (archive,) = (tmp_path / "bundle").iterdir()
    with tarfile.open(archive) as packed:
        assert "programs.py" in packed.getnames()


def test_the_same_code_is_sent_once_unless_that_is_not_to_be_trusted(peer: Peer) -> None:
    flyte.run(double, x=1)
    flyte.run(double, x=2)
    assert len(peer.puts) == 1
    flyte.with_runcontext(disable_run_cache=True).run(double, x=3)
    assert len(peer.puts) == 2


def test_code_that_the_control_plane_has_lost_is_sent_again(peer: Peer) -> None:
    flyte.run(double, x=1)
    for path in peer.folder.rglob("*.tar.gz"):
        path.unlink()
    flyte.run(double, x=2)
    assert len(peer.puts) == 2


def test_a_task_of_an_interactive_session_is_pickled(peer: Peer) -> None:
    flyte.with_runcontext(interactive_mode=True).run(double, x=1)
    (request,) = peer.requests("CreateRun")
    arguments = list(request.task_spec.task_template.container.args)
    assert arguments[arguments.index("--pkl") + 1].endswith("code_bundle.pkl.gz")
    assert "--resolver" not in arguments


def test_without_code_there_has_to_be_a_version(peer: Peer) -> None:
    with pytest.raises(ValueError, match="version"):
        flyte.with_runcontext(copy_style="none").run(double, x=1)
    flyte.with_runcontext(copy_style="none", version="v1").run(double, x=1)
    assert peer.puts == []
    with pytest.raises(CodeBundleError, match="copy_style"):
        flyte.with_runcontext(copy_style="some").run(double, x=1)


def test_an_image_by_name_needs_an_address(peer: Peer) -> None:
    env = flyte.TaskEnvironment("named", image=flyte.Image.from_ref_name("mine"))

    @env.task
    async def one() -> int:
        return 1

    with pytest.raises(ImageBuildError, match="'mine' has no address"):
        flyte.run(one)


def test_the_settings_that_make_no_sense_are_refused(peer: Peer) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        flyte.with_runcontext(max_action_concurrency=1)
    with pytest.raises(ValueError, match="cache_lookup_scope"):
        flyte.with_runcontext(cache_lookup_scope="planet")
    with pytest.raises(ValueError, match="isolated"):
        flyte.with_runcontext(isolated=True).run(double, x=1)
    with pytest.raises(InitializationError, match="debug"):
        flyte.with_runcontext(debug=True)


def test_local_runs_are_still_possible(peer: Peer) -> None:
    assert flyte.with_runcontext(mode="local").run(double, x=3).outputs().o0 == 6
    assert peer.recorded == []


def test_a_rerun_has_the_inputs_and_settings_of_the_earlier_run(peer: Peer) -> None:
    first = flyte.with_runcontext(labels={"l": "1"}, queue="q", custom_context={"c": "d"}).run(double, x=3, y="k")
    second = flyte.rerun(first.name, x=5)
    request = peer.requests("CreateRun")[1]
    assert request.run_spec.relation.related_to.name == first.name
    assert request.run_spec.relation.relation_type == RELATION_TYPE_RERUN
    assert (request.run_spec.queue, request.run_spec.labels.values) == ("q", {"l": "1"})
    assert request.task_spec == peer.requests("CreateRun")[0].task_spec
    inputs = peer.runs[second.name].inputs
    assert double.codec.decode_inputs(inputs) == {"x": 5, "y": "k"}
    assert {each.key: each.value for each in inputs.context} == {"c": "d"}
    with pytest.raises(ValueError, match="no input 'z'"):
        flyte.rerun(first.name, z=1)


def test_a_recovery_says_what_runs_again(peer: Peer) -> None:
    first = flyte.run(double, x=3)
    flyte.rerun(first.name, recover=True, force_rerun_actions=["a1"])
    spec = peer.requests("CreateRun")[1].run_spec
    assert spec.relation.relation_type == RELATION_TYPE_RECOVER
    assert list(spec.recover.force_rerun_actions) == ["a1"]
