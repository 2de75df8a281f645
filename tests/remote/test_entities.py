"""Projects, secrets, users, and what is not offered."""

from __future__ import annotations

import pytest

import flyte.remote
from conformance.peer import Peer
from flyte.errors import UnionRpcError
from flyte.remote import App, Artifact, Project, Secret, Settings, User


def test_the_public_names_are_those_of_the_surface() -> None:
    assert sorted(flyte.remote.__all__) == flyte.remote.__all__
    for name in flyte.remote.__all__:
        assert getattr(flyte.remote, name) is not None
    assert set(flyte.remote.__all__) <= set(dir(flyte.remote))


def test_projects_are_made_changed_and_listed(peer: Peer) -> None:
    Project.create("digits", "Digits", "Of numbers", {"team": "a"})
    project = Project.get("digits")
    assert (project.id, project.name) == ("digits", "Digits")
    Project.update("digits", description="Of letters")
    changed = Project.get("digits").pb2
    assert (changed.name, changed.description, changed.labels.values) == ("Digits", "Of letters", {"team": "a"})
    project.archive()
    assert list(Project.listall()) == []
    assert [each.id for each in Project.listall(archived=True)] == ["digits"]
    project.unarchive()
    assert [each.id for each in Project.listall()] == ["digits"]
    with pytest.raises(UnionRpcError, match="there is a project") as caught:
        Project.create("digits", "Digits")
    assert caught.value.code == "AlreadyExists"
    with pytest.raises(ValueError, match="state"):
        Project.update("digits", state="gone")  # type: ignore[arg-type]


def test_secrets_come_back_without_their_values(peer: Peer) -> None:
    Secret.create("key", "value")
    Secret.create("pull", b"bytes", type="image_pull")
    assert Secret.get("key").type == "regular"
    assert Secret.get("pull").type == "image_pull"
    assert "value" not in Secret.get("key").to_json()
    assert [each.name for each in Secret.listall()] == ["key", "pull"]
    Secret.delete("key")
    with pytest.raises(UnionRpcError, match="no secret 'key'") as caught:
        Secret.get("key")
    assert caught.value.code == "NotFound"
    with pytest.raises(ValueError, match="no value"):
        Secret.create("key", "")
    with pytest.raises(ValueError, match="pools"):
        Secret.get("key", cluster_pool="p")


async def test_the_caller_is_known(peer: Peer) -> None:
    user = await User.get.aio()
    assert (user.subject(), user.name()) == ("ada", "Ada Lovelace")
    assert user.to_dict() == {"subject": "ada", "name": "Ada Lovelace"}


def test_a_service_that_the_control_plane_lacks_is_named(peer: Peer) -> None:
    with pytest.raises(UnionRpcError, match=r"does not offer SettingsService\.GetSettingsForEdit"):
        Settings.get_settings_for_edit()


def test_settings_are_read_from_yaml_with_their_names_checked() -> None:
    assert "run.default_queue" in Settings.available_keys()
    assert Settings.parse_yaml("run.default_queue: fast\n") == {"run.default_queue": "fast"}
    with pytest.raises(ValueError, match=r"Did you mean .*run\.default_queue"):
        Settings.parse_yaml("run.default_queu: fast\n")


def test_apps_and_artifacts_say_that_they_do_not_exist() -> None:
    with pytest.raises(UnionRpcError, match="serves no apps"):
        App.get("x")
    with pytest.raises(UnionRpcError, match="no registry of artifacts"):
        Artifact.create(1)
