"""Tasks, projects, triggers, secrets, settings and images."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable
from pathlib import Path

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.common.identifier_pb2 import ProjectIdentifier, TriggerName
from flyteidl2.common.list_pb2 import Filter, ListRequest, Sort
from flyteidl2.core.security_pb2 import Secret
from flyteidl2.imagebuilder.definition_pb2 import ImageIdentifier
from flyteidl2.imagebuilder.payload_pb2 import GetImageRequest
from flyteidl2.project import project_service_pb2 as projects
from flyteidl2.secret import payload_pb2 as secrets
from flyteidl2.secret.definition_pb2 import SECRET_TYPE_IMAGE_PULL_SECRET, SecretIdentifier, SecretSpec
from flyteidl2.settings import settings_service_pb2 as settings
from flyteidl2.settings.settings_definition_pb2 import (
    SETTING_STATE_UNSET,
    SETTING_STATE_VALUE,
    Settings,
    SettingsKey,
    StringMap,
    StringMapSetting,
    StringSetting,
)
from flyteidl2.task import task_service_pb2 as tasks
from flyteidl2.task.common_pb2 import Cron, FixedRate, Schedule, TriggerAutomationSpec
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskName, TaskTrigger, TaskTriggerSpec
from flyteidl2.trigger import trigger_service_pb2 as triggers
from flyteidl2.trigger.trigger_definition_pb2 import TriggerSpec
from flyteidl2.workflow.run_service_pb2 import CreateRunRequest, GetRunDetailsRequest, ListRunsRequest

from flyte._image.environment import RECORD, BuiltRecord, environment_folder
from flyte._server.executors.stored_secrets import secrets_of
from flyte._server.readers import StoreReaders
from flyte._store.database import DATABASE_FILE
from flyte._store.reader import StoreReader
from flyte._store.secrets import SecretStore
from flyte._store.served_secrets import KEY_FILE, SecretKey, Vault, secret_value
from flyte.errors import StoreError
from flyte.models import ActionID
from tests.server.scheduler.scripted import spec
from tests.server.services.serving import PLACE, Served, served

HOURLY = TriggerAutomationSpec(schedule=Schedule(cron=Cron(expression="0 * * * *")))


def task_id(name: str = "env.root", version: str = "v1") -> TaskIdentifier:
    """A task in the default project, as official clients name it."""
    return TaskIdentifier(project=PLACE.name, domain=PLACE.domain, name=name, version=version)


def trigger_name(name: str = "nightly") -> TriggerName:
    """A trigger of such a task."""
    return TriggerName(project=PLACE.name, domain=PLACE.domain, task_name="env.root", name=name)


async def deploy(server: Served, name: str = "env.root", version: str = "v1", *names: str) -> None:
    """A task is deployed with triggers of those names."""
    given = [TaskTrigger(name=each, spec=TaskTriggerSpec(active=True), automation_spec=HOURLY) for each in names]
    request = tasks.DeployTaskRequest(task_id=task_id(name, version), spec=spec(name), triggers=given)
    await (await server.tasks()).deploy_task(request)


async def code_of(call: Awaitable[object]) -> Code:
    """The code that a call is refused with."""
    with pytest.raises(ConnectError) as refused:
        await call
    return refused.value.code


async def test_task_is_deployed_once_and_found(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await deploy(server)
        await deploy(server)
        client = await server.tasks()
        details = (await client.get_task_details(tasks.GetTaskDetailsRequest(task_id=task_id()))).details
        assert details.spec == spec("env.root")
        assert (details.task_id.org, details.metadata.short_name) == ("local", "env.root")
        other = tasks.DeployTaskRequest(task_id=task_id(), spec=spec("env.root", discoverable=True))
        assert await code_of(client.deploy_task(other)) is Code.ALREADY_EXISTS
        unknown = tasks.GetTaskDetailsRequest(task_id=task_id(version="v9"))
        assert await code_of(client.get_task_details(unknown)) is Code.NOT_FOUND


async def test_latest_version_is_found_as_clients_look_for_it(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        for version in ("v1", "v2", "v3"):
            await deploy(server, "env.root", version)
        await deploy(server, "env.other")
        wanted = ListRequest(
            limit=1,
            sort_by=Sort(key="created_at", direction=Sort.DESCENDING),
            filters=[Filter(function=Filter.EQUAL, field="name", values=["env.root"])],
        )
        response = await (await server.tasks()).list_tasks(tasks.ListTasksRequest(request=wanted, project_id=PLACE))
        assert [each.task_id.version for each in response.tasks] == ["v3"]
        assert (response.metadata.total, response.metadata.filtered_total) == (4, 3)


async def test_versions_are_listed_page_by_page_with_their_runs(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        for version in ("v1", "v2"):
            await deploy(server, "env.root", version)
        await (await server.runs()).create_run(CreateRunRequest(project_id=PLACE, task_id=task_id(version="v1")))
        client = await server.tasks()
        name = TaskName(project=PLACE.name, domain=PLACE.domain, name="env.root")
        seen, token = [], ""
        while True:
            wanted = ListRequest(limit=1, token=token)
            response = await client.list_versions(tasks.ListVersionsRequest(request=wanted, task_name=name))
            seen += [(each.version, each.HasField("latest_run")) for each in response.versions]
            token = response.token
            if not token:
                break
        assert seen == [("v2", False), ("v1", True)]


async def test_known_filters_choose_entry_points(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await deploy(server)
        entry = tasks.DeployTaskRequest(task_id=task_id("env.main"), spec=spec("env.main", is_entrypoint=True))
        client = await server.tasks()
        await client.deploy_task(entry)
        known = [tasks.ListTasksRequest.KnownFilter(is_entrypoint=True)]
        response = await client.list_tasks(tasks.ListTasksRequest(known_filters=known))
        assert [each.task_id.name for each in response.tasks] == ["env.main"]


async def test_deployed_task_is_run(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await deploy(server)
        runs = await server.runs()
        made = await runs.create_run(CreateRunRequest(project_id=PLACE, task_id=task_id()))
        details = await runs.get_run_details(GetRunDetailsRequest(run_id=made.run.action.id.run))
        assert details.details.action.metadata.task.id.version == "v1"
        unknown = CreateRunRequest(project_id=PLACE, task_id=task_id(version="v9"))
        assert await code_of(runs.create_run(unknown)) is Code.NOT_FOUND


async def test_trigger_keeps_every_revision(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await deploy(server, "env.root", "v1", "nightly")
        client = await server.triggers()
        details = (await client.get_trigger_details(triggers.GetTriggerDetailsRequest(name=trigger_name()))).trigger
        assert (details.id.revision, details.spec.active, details.spec.task_version) == (1, True, "v1")
        await client.update_triggers(triggers.UpdateTriggersRequest(names=[trigger_name()], active=False))
        # It is inactive already: nothing changes.
        await client.update_triggers(triggers.UpdateTriggersRequest(names=[trigger_name()], active=False))
        new = triggers.DeployTriggerRequest(
            name=trigger_name(), revision=2, spec=TriggerSpec(active=True, task_version="v1"), automation_spec=HOURLY
        )
        await client.deploy_trigger(new)
        assert await code_of(client.deploy_trigger(new)) is Code.FAILED_PRECONDITION
        await client.delete_triggers(triggers.DeleteTriggersRequest(names=[trigger_name()]))
        history = await client.get_trigger_revision_history(
            triggers.GetTriggerRevisionHistoryRequest(name=trigger_name())
        )
        assert [(each.id.revision, each.action) for each in history.triggers] == [(4, 4), (3, 1), (2, 3), (1, 1)]
        assert (await client.list_triggers(triggers.ListTriggersRequest())).triggers == []
        gone = triggers.GetTriggerDetailsRequest(name=trigger_name())
        assert await code_of(client.get_trigger_details(gone)) is Code.NOT_FOUND
        then = triggers.GetTriggerRevisionDetailsRequest(id=history.triggers[-1].id)
        assert (await client.get_trigger_revision_details(then)).trigger.spec.active


async def test_triggers_are_switched_together_or_not_at_all(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await deploy(server, "env.root", "v1", "nightly")
        client = await server.triggers()
        names = [trigger_name(), trigger_name("no-such")]
        refused = client.update_triggers(triggers.UpdateTriggersRequest(names=names, active=False))
        assert await code_of(refused) is Code.NOT_FOUND
        (trigger,) = (await client.list_triggers(triggers.ListTriggersRequest(task_id=task_id()))).triggers
        assert (trigger.active, trigger.automation_spec) == (True, HOURLY)


async def test_trigger_without_a_task_or_a_time_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.triggers()
        new = triggers.DeployTriggerRequest(name=trigger_name(), spec=TriggerSpec(task_version="v1"))
        assert await code_of(client.deploy_trigger(new)) is Code.NOT_FOUND
        await deploy(server)
        for schedule in (
            Schedule(),
            Schedule(rate=FixedRate(value=0, unit=1)),
            Schedule(rate=FixedRate(value=5)),
            Schedule(cron=Cron(expression="61 * * * *")),
            Schedule(cron=Cron(expression="0 * * * *", timezone="Mars/Base")),
            Schedule(cron_expression="CRON_TZ=Europe/Berlin every day"),
        ):
            new.automation_spec.schedule.CopyFrom(schedule)
            assert await code_of(client.deploy_trigger(new)) is Code.INVALID_ARGUMENT, schedule
        for schedule in (
            Schedule(rate=FixedRate(value=5, unit=1)),
            Schedule(cron=Cron(expression="@daily")),
            Schedule(cron_expression="CRON_TZ=Europe/Berlin 0 9 * * 1-5"),
        ):
            new.automation_spec.schedule.CopyFrom(schedule)
            await client.deploy_trigger(new)


async def test_trigger_is_run_by_name(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await deploy(server, "env.root", "v1", "nightly")
        runs = await server.runs()
        made = await runs.create_run(CreateRunRequest(project_id=PLACE, trigger_name=trigger_name()))
        assert made.run.action.metadata.trigger_id.name.task_name == "env.root"
        listed = await runs.list_runs(ListRunsRequest(trigger_name=trigger_name()))
        assert [each.action.metadata.trigger_name for each in listed.runs] == ["nightly"]


async def test_project_is_made_changed_archived_and_listed(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.projects()
        await client.create_project(projects.CreateProjectRequest(project=projects.Project(id="shop", name="Shop")))
        project = (await client.get_project(projects.GetProjectRequest(id="shop"))).project
        assert [each.id for each in project.domains] == ["development", "staging", "production"]
        again = projects.CreateProjectRequest(project=project)
        assert await code_of(client.create_project(again)) is Code.ALREADY_EXISTS
        del project.domains[:]
        project.state = projects.PROJECT_STATE_ARCHIVED
        await client.update_project(projects.UpdateProjectRequest(project=project))

        async def listed(filters: str) -> list[str]:
            response = await client.list_projects(projects.ListProjectsRequest(filters=filters))
            return [each.id for each in response.projects.projects]

        assert await listed("eq(state, 0)") == ["flytesnacks"]
        assert await listed("contains(name, Sho)+eq(state, 1)") == ["shop"]
        assert await listed("") == ["flytesnacks", "shop"]
        assert await code_of(listed("state is 0")) is Code.INVALID_ARGUMENT
        run = CreateRunRequest(
            project_id=ProjectIdentifier(name="shop", domain="development"), task_spec=spec("env.root")
        )
        assert await code_of((await server.runs()).create_run(run)) is Code.FAILED_PRECONDITION


async def test_default_project_is_made_once_and_stays(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.projects()
        mine = projects.Project(id="flytesnacks", name="Mine")
        await client.update_project(projects.UpdateProjectRequest(project=mine))
        mine.state = projects.PROJECT_STATE_ARCHIVED
        archived = client.update_project(projects.UpdateProjectRequest(project=mine))
        assert await code_of(archived) is Code.FAILED_PRECONDITION
    async with served(tmp_path) as server:
        project = (await (await server.projects()).get_project(projects.GetProjectRequest(id="flytesnacks"))).project
        assert project.name == "Mine"


def secret(value: str = "hunter2-and-more") -> secrets.CreateSecretRequest:
    """A request for a secret of a project."""
    identifier = SecretIdentifier(name="token", project=PLACE.name, domain=PLACE.domain)
    return secrets.CreateSecretRequest(id=identifier, secret_spec=SecretSpec(string_value=value))


async def test_secret_is_kept_and_never_told(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.secrets()
        await client.create_secret(secret())
        assert await code_of(client.create_secret(secret())) is Code.ALREADY_EXISTS
        told = await client.get_secret(secrets.GetSecretRequest(id=secret().id))
        assert told.secret.id.name == "token"
        listed = await client.list_secrets(secrets.ListSecretsRequest(project=PLACE.name, domain=PLACE.domain))
        assert [each.id.name for each in listed.secrets] == ["token"]
        assert list((await client.list_secrets(secrets.ListSecretsRequest())).secrets) == []
        assert b"hunter2" not in told.SerializeToString() + listed.SerializeToString()
    for file in tmp_path.rglob(f"{DATABASE_FILE}*"):
        assert b"hunter2" not in file.read_bytes()
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


async def test_secrets_and_settings_of_no_project_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        request = secret()
        request.id.project = "no-such"
        assert await code_of((await server.secrets()).create_secret(request)) is Code.NOT_FOUND
        key = SettingsKey(domain="no-such")
        made = settings.CreateSettingsRequest(key=key, settings=queue("a"))
        assert await code_of((await server.settings()).create_settings(made)) is Code.NOT_FOUND


async def test_secret_is_changed_and_deleted(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.secrets()
        new = secrets.UpdateSecretRequest(id=secret().id, secret_spec=SecretSpec(binary_value=b"other"))
        assert await code_of(client.update_secret(new)) is Code.NOT_FOUND
        await client.create_secret(secret())
        await client.update_secret(new)
        with StoreReader(tmp_path) as reader:
            assert secret_value(reader, Vault(tmp_path), SecretKey(PLACE.name, PLACE.domain, "token")) == b"other"
        await client.delete_secret(secrets.DeleteSecretRequest(id=secret().id))
        assert await code_of(client.get_secret(secrets.GetSecretRequest(id=secret().id))) is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (SecretSpec(), "no value"),
        (SecretSpec(binary_value=b"a\0b"), "zero byte"),
        (SecretSpec(string_value="x", type=SECRET_TYPE_IMAGE_PULL_SECRET), "pulls no images"),
    ],
)
async def test_value_that_cannot_be_given_to_a_task_is_refused(tmp_path: Path, given: SecretSpec, named: str) -> None:
    async with served(tmp_path) as server:
        request = secrets.CreateSecretRequest(id=secret().id, secret_spec=given)
        with pytest.raises(ConnectError, match=named):
            await (await server.secrets()).create_secret(request)


async def test_nearest_secret_wins(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.secrets()
        SecretStore(tmp_path).put("token", None, b"of this machine")
        SecretStore(tmp_path).put("token", "group", b"of a group")
        action = ActionID(name="a0", run_name="r", project=PLACE.name, domain=PLACE.domain)
        values = secrets_of(tmp_path)

        def value(group: str = "") -> bytes | None:
            return values(action, [Secret(key="token", group=group), Secret(key="other")]).get((group, "token"))

        assert (value(), value("group")) == (b"of this machine", b"of a group")
        for identifier in (
            SecretIdentifier(name="token"),
            SecretIdentifier(name="token", domain=PLACE.domain),
            SecretIdentifier(name="token", domain=PLACE.domain, project=PLACE.name),
        ):
            text = f"{identifier.project}/{identifier.domain}"
            spec_ = SecretSpec(string_value=text)
            await client.create_secret(secrets.CreateSecretRequest(id=identifier, secret_spec=spec_))
            assert value() == text.encode()


def test_value_is_opened_for_its_name_alone(tmp_path: Path) -> None:
    vault, key = Vault(tmp_path), SecretKey("p", "d", "one")
    sealed = vault.seal(key, b"value")
    assert Vault(tmp_path).open(key, sealed) == b"value"
    with pytest.raises(StoreError, match="another key"):
        vault.open(SecretKey("p", "d", "two"), sealed)


def test_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Vault(tmp_path).seal(SecretKey("", "", "one"), b"value")
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        Vault(tmp_path).seal(SecretKey("", "", "one"), b"value")


def queue(name: str) -> Settings:
    """Settings of a default queue."""
    made = Settings()
    made.run.default_queue.CopyFrom(StringSetting(state=SETTING_STATE_VALUE, string_value=name))
    return made


async def test_settings_of_a_project_win_over_those_of_its_domain(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.settings()
        domain, project = SettingsKey(domain="development"), SettingsKey(domain="development", project="flytesnacks")
        wide = queue("wide")
        entries = StringMap(entries={"a": "1", "b": "2"})
        wide.environment_variables.CopyFrom(StringMapSetting(state=SETTING_STATE_VALUE, map_value=entries))
        await client.create_settings(settings.CreateSettingsRequest(key=domain, settings=wide))
        narrow = queue("narrow")
        entries = StringMap(entries={"b": "3"})
        narrow.environment_variables.CopyFrom(StringMapSetting(state=SETTING_STATE_VALUE, map_value=entries))
        await client.create_settings(settings.CreateSettingsRequest(key=project, settings=narrow))
        levels = (await client.get_settings_for_edit(settings.GetSettingsForEditRequest(key=project))).levels
        assert [(each.key.project, each.version) for each in levels] == [("", 1), ("flytesnacks", 1)]
        record = (await client.get_settings(settings.GetSettingsRequest(key=project))).settingsRecord
        assert (record.settings.run.default_queue.string_value, record.version) == ("narrow", 1)
        assert dict(record.settings.environment_variables.map_value.entries) == {"a": "1", "b": "3"}
        runs = await server.runs()
        made = await runs.create_run(CreateRunRequest(project_id=PLACE, task_spec=spec("env.root")))
        run_spec = (await runs.get_run_details(GetRunDetailsRequest(run_id=made.run.action.id.run))).details.run_spec
        assert run_spec.queue == "narrow"
        assert {each.key: each.value for each in run_spec.envs.values} == {"a": "1", "b": "3"}


async def test_settings_change_only_from_the_version_that_was_read(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.settings()
        new = settings.UpdateSettingsRequest(key=SettingsKey(), settings=queue("a"), version=1)
        assert await code_of(client.update_settings(new)) is Code.NOT_FOUND
        first = settings.CreateSettingsRequest(key=SettingsKey(), settings=queue("b"))
        await client.create_settings(first)
        assert await code_of(client.create_settings(first)) is Code.ALREADY_EXISTS
        assert (await client.update_settings(new)).settingsRecord.version == 2
        assert await code_of(client.update_settings(new)) is Code.FAILED_PRECONDITION


async def test_setting_that_would_be_ignored_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        given = Settings()
        given.security.service_account.CopyFrom(StringSetting(state=SETTING_STATE_UNSET))
        request = settings.CreateSettingsRequest(key=SettingsKey(), settings=given)
        with pytest.raises(ConnectError, match=r"security\.service_account"):
            await (await server.settings()).create_settings(request)


@pytest.mark.parametrize("name", ["run.run_base_dir", "storage.raw_data_path", "environment_variables"])
async def test_setting_with_which_no_run_could_be_made_is_refused(tmp_path: Path, name: str) -> None:
    given = Settings()
    if name == "environment_variables":
        entries = StringMap(entries={"A=B": "x"})
        given.environment_variables.CopyFrom(StringMapSetting(state=SETTING_STATE_VALUE, map_value=entries))
    else:
        section, _, field = name.partition(".")
        leaf = StringSetting(state=SETTING_STATE_VALUE, string_value="relative/x")
        getattr(getattr(given, section), field).CopyFrom(leaf)
    async with served(tmp_path) as server:
        request = settings.CreateSettingsRequest(key=SettingsKey(), settings=given)
        with pytest.raises(ConnectError, match=name) as refused:
            await (await server.settings()).create_settings(request)
        assert refused.value.code is Code.INVALID_ARGUMENT


async def test_image_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        request = GetImageRequest(id=ImageIdentifier(name="flyte:0123456789"))
        assert await code_of((await server.images()).get_image(request)) is Code.NOT_FOUND


async def test_catalog_is_there_after_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await deploy(server, "env.root", "v1", "nightly")
    async with served(tmp_path) as server:
        client = await server.tasks()
        request = tasks.GetTaskDetailsRequest(task_id=task_id())
        assert (await client.get_task_details(request)).details.metadata.triggers_summary.details.active


async def test_reading_in_threads_leaves_none_behind(tmp_path: Path) -> None:
    readers = StoreReaders(tmp_path)
    assert await asyncio.gather(*(readers.read(lambda _: 1) for _ in range(8))) == [1] * 8
    readers.close()


async def test_image_that_was_built_here_is_found_by_its_key(tmp_path: Path) -> None:
    key = "0123456789abcdef"
    record = BuiltRecord(
        key=key,
        attempt="1",
        name="mine",
        python_version="3.11",
        flyte_version="0",
        flyte_digest="",
        layers=(),
        env_vars={},
        working_dir=None,
        python_path=(),
        created_at="2026-01-31T12:00:00+00:00",
        build_s=1.0,
        size_bytes=1,
    )
    folder = environment_folder(tmp_path, key)
    (folder / "1" / "bin").mkdir(parents=True)
    (folder / "1" / "bin" / "python").touch()
    (folder / RECORD).write_bytes(record.to_json())
    async with served(tmp_path) as server:
        request = GetImageRequest(id=ImageIdentifier(name=f"flyte:{key}"))
        assert (await (await server.images()).get_image(request)).image.fqin == f"venv:{key}"
