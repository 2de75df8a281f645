"""`TriggerService`: triggers are deployed, switched, deleted and listed, and all of that is kept."""

from __future__ import annotations

from flyteidl2.common.identifier_pb2 import TriggerIdentifier, TriggerName
from flyteidl2.task.common_pb2 import (
    FIXED_RATE_UNIT_DAY,
    FIXED_RATE_UNIT_HOUR,
    FIXED_RATE_UNIT_MINUTE,
    TriggerAutomationSpec,
)
from flyteidl2.trigger import trigger_definition_pb2 as definitions
from flyteidl2.trigger import trigger_service_pb2 as messages

from flyte._authoring.cron import Cron
from flyte._server.callers import current_caller
from flyte._server.codes import Context, answering
from flyte._server.refusals import InvalidRequestError, NotNowError, UnknownError
from flyte._server.services.clock import now_us
from flyte._server.services.identifiers import TASK_NAME_LENGTH, number_of, place_of, text_of
from flyte._server.services.list_requests import Column, Listing, flag, moment, number
from flyte._server.services.places import Places
from flyte._server.services.run_creation import refuse_notifications
from flyte._server.services.store import ServedStore
from flyte._server.services.views import identity, timestamp
from flyte._store.reader import StoreReader
from flyte._store.tasks import TaskKey, find_task
from flyte._store.triggers import (
    ACTIVATED,
    DEACTIVATED,
    DELETED,
    NewTrigger,
    StoredTrigger,
    Switching,
    TriggerKey,
    deploy_trigger,
    find_trigger,
    list_trigger_revisions,
    list_triggers,
    switch_triggers,
    trigger_revision,
)
from flyte._store.writer import Change

_MOST_AT_ONCE = 1000
_EXPRESSION_LENGTH = 255
_ZONE = "CRON_TZ="
_NAMED_TIMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_UNITS = (FIXED_RATE_UNIT_MINUTE, FIXED_RATE_UNIT_HOUR, FIXED_RATE_UNIT_DAY)

TRIGGERS = Listing(
    key="task_trigger.trigger_id",
    columns={
        "created_at": Column("deployed_us", moment, sort="task_trigger.trigger_id"),
        "updated_at": Column("updated_us", moment),
        "name": Column("name"),
        "task_name": Column("task_name"),
        "task_version": Column("task_version"),
        "active": Column("is_active", flag),
        "deployed_by": Column("deployed_by"),
    },
    is_descending=False,
)

REVISIONS = Listing(
    key="trigger_revision.revision",
    columns={
        "created_at": Column("created_us", moment, sort="trigger_revision.revision"),
        "revision": Column("trigger_revision.revision", number),
    },
)


@answering
class TriggerService:
    """Triggers. None of them fires by itself yet: CreateRun with the name of one runs it."""

    def __init__(self, store: ServedStore, places: Places) -> None:
        self._store = store
        self._places = places

    async def deploy_trigger(
        self, request: messages.DeployTriggerRequest, ctx: Context
    ) -> messages.DeployTriggerResponse:
        """The trigger is so, in a revision of its own."""
        key = trigger_key(request.name)
        automation = checked_automation(request.automation_spec, "automation_spec")
        if not request.HasField("spec"):
            raise InvalidRequestError("spec is missing: expected what the trigger runs.")
        refuse_notifications(request.spec.run_spec, "spec.run_spec")
        version = text_of(request.spec.task_version, "spec.task_version", TASK_NAME_LENGTH)
        task = TaskKey(key.project, key.domain, key.task_name, version)
        if await self._store.read(lambda reader: find_task(reader, task)) is None:
            raise UnknownError(
                f"there is no task {task.name!r} of version {version!r} in {task.project}/{task.domain}: `flyte "
                "deploy` makes one."
            )
        expected = number_of(request.revision, "revision")
        result = await self._store.write(trigger_change(self._places, key, request.spec, automation, expected))
        if isinstance(result, int):
            raise NotNowError(f"revision is {expected}, and the trigger is at {result}: read it again.")
        return messages.DeployTriggerResponse(trigger=trigger_details(self._places, result))

    async def get_trigger_details(
        self, request: messages.GetTriggerDetailsRequest, ctx: Context
    ) -> messages.GetTriggerDetailsResponse:
        """The trigger as it is."""
        key = trigger_key(request.name)
        trigger = await self._store.read(lambda reader: _trigger(reader, key))
        return messages.GetTriggerDetailsResponse(trigger=trigger_details(self._places, trigger))

    async def get_trigger_revision_details(
        self, request: messages.GetTriggerRevisionDetailsRequest, ctx: Context
    ) -> messages.GetTriggerRevisionDetailsResponse:
        """The trigger as it was then."""
        key = trigger_key(request.id.name, "id.name")
        revision = number_of(request.id.revision, "id.revision")

        def load(reader: StoreReader) -> bytes | None:
            return trigger_revision(reader, _trigger(reader, key, is_there=False), revision)

        data = await self._store.read(load)
        if data is None:
            raise UnknownError(f"trigger {key.name!r} of task {key.task_name!r} has no revision {revision}.")
        return messages.GetTriggerRevisionDetailsResponse(trigger=definitions.TriggerDetails.FromString(data))

    async def list_triggers(self, request: messages.ListTriggersRequest, ctx: Context) -> messages.ListTriggersResponse:
        """One page of triggers, the oldest first where nothing else is asked for."""
        conditions, parameters = _scope(request)
        query = TRIGGERS.query(request.request, ["deleted_us IS NULL", *conditions], parameters)
        triggers, page = await self._store.read(lambda reader: list_triggers(reader, query))
        shown = [listed_trigger(self._places, each) for each in triggers]
        return messages.ListTriggersResponse(triggers=shown, token=TRIGGERS.token(request.request, page))

    async def get_trigger_revision_history(
        self, request: messages.GetTriggerRevisionHistoryRequest, ctx: Context
    ) -> messages.GetTriggerRevisionHistoryResponse:
        """One page of what was changed of a trigger, also of a deleted one, the last change first."""
        key = trigger_key(request.name)

        def load(reader: StoreReader) -> messages.GetTriggerRevisionHistoryResponse:
            trigger = _trigger(reader, key, is_there=False)
            query = REVISIONS.query(request.request, ["trigger_id = :trigger_id"], {"trigger_id": trigger.trigger_id})
            page = list_trigger_revisions(reader, query)
            shown = [self._revision(row["details"], row["change"], row["created_us"]) for row in page.rows]
            return messages.GetTriggerRevisionHistoryResponse(
                triggers=shown, token=REVISIONS.token(request.request, page)
            )

        return await self._store.read(load)

    async def update_triggers(
        self, request: messages.UpdateTriggersRequest, ctx: Context
    ) -> messages.UpdateTriggersResponse:
        """All of them are active, or none is."""
        await self._switch(list(request.names), ACTIVATED if request.active else DEACTIVATED)
        return messages.UpdateTriggersResponse()

    async def delete_triggers(
        self, request: messages.DeleteTriggersRequest, ctx: Context
    ) -> messages.DeleteTriggersResponse:
        """None of them is there any more; their history stays."""
        await self._switch(list(request.names), DELETED)
        return messages.DeleteTriggersResponse()

    async def _switch(self, names: list[TriggerName], kind: int) -> None:
        if not 0 < len(names) <= _MOST_AT_ONCE:
            raise InvalidRequestError(f"names has {len(names)} entries: expected 1 to {_MOST_AT_ONCE}.")
        keys = list(dict.fromkeys(trigger_key(each, f"names[{index}]") for index, each in enumerate(names)))
        switching = Switching(
            kind,
            current_caller().subject,
            now_us(),
            lambda trigger: trigger_details(self._places, trigger).SerializeToString(),
        )
        missing = await self._store.write(switch_triggers(keys, switching))
        if missing is not None:
            raise _unknown(missing)

    def _revision(self, details: bytes, change: int, created_us: int) -> definitions.TriggerRevision:
        trigger = definitions.TriggerDetails.FromString(details)
        return definitions.TriggerRevision(
            id=trigger.id,
            metadata=trigger.metadata,
            status=trigger.status,
            action=change,
            created_at=timestamp(created_us),
        )


def trigger_change(
    places: Places, key: TriggerKey, spec: definitions.TriggerSpec, automation: TriggerAutomationSpec, expected: int
) -> Change:
    """As of `deploy_trigger`, by whoever makes the request that is being answered."""
    return deploy_trigger(
        NewTrigger(
            key=key,
            spec=spec,
            automation=automation,
            expected_revision=expected,
            by=current_caller().subject,
            now_us=now_us(),
            describe=lambda trigger: trigger_details(places, trigger).SerializeToString(),
        )
    )


def trigger_key(name: TriggerName, field: str = "name") -> TriggerKey:
    """The full name of a trigger.

    Raises:
        InvalidRequestError: a part of it is missing, or can be none.
    """
    return TriggerKey(
        place_of(name.project, f"{field}.project"),
        place_of(name.domain, f"{field}.domain"),
        text_of(name.task_name, f"{field}.task_name", TASK_NAME_LENGTH),
        text_of(name.name, f"{field}.name", TASK_NAME_LENGTH),
    )


def checked_automation(automation: TriggerAutomationSpec, field: str) -> TriggerAutomationSpec:
    """What fires a trigger, when it can be.

    Raises:
        InvalidRequestError: it is a schedule without a time.
    """
    if automation.WhichOneof("automation") == "schedule":
        schedule = automation.schedule
        kind = schedule.WhichOneof("expression")
        if kind == "cron":
            _check_cron(schedule.cron.expression, schedule.cron.timezone, f"{field}.schedule.cron")
        elif kind == "cron_expression":
            zone, expression = _zoned(schedule.cron_expression)
            _check_cron(expression, zone, f"{field}.schedule.cron_expression")
        elif kind == "rate":
            if schedule.rate.value == 0:
                raise InvalidRequestError(f"{field}.schedule.rate.value is 0: expected how often it fires, from 1.")
            if schedule.rate.unit not in _UNITS:
                raise InvalidRequestError(f"{field}.schedule.rate.unit is missing: expected minutes, hours or days.")
        else:
            raise InvalidRequestError(f"{field}.schedule has no expression: expected rate, cron_expression or cron.")
    return automation


def _zoned(expression: str) -> tuple[str, str]:
    """The time zone and the five fields of an expression such as `CRON_TZ=Europe/Berlin 0 * * * *`."""
    if not expression.startswith(_ZONE):
        return "", expression
    zone, _, fields = expression.removeprefix(_ZONE).partition(" ")
    return zone, fields


def _check_cron(expression: str, zone: str, field: str) -> None:
    text_of(expression, field, _EXPRESSION_LENGTH)
    try:
        Cron("0 0 * * *" if expression in _NAMED_TIMES else expression, zone or "UTC")
    except ValueError as error:
        raise InvalidRequestError(f"{field}: {error}") from error


def trigger_identifier(places: Places, trigger: StoredTrigger) -> TriggerIdentifier:
    """The full name of a trigger, with its revision."""
    key = trigger.key
    name = TriggerName(org=places.org, project=key.project, domain=key.domain, name=key.name, task_name=key.task_name)
    return TriggerIdentifier(name=name, revision=trigger.revision)


def _metadata(trigger: StoredTrigger) -> definitions.TriggerMetadata:
    return definitions.TriggerMetadata(
        deployed_by=identity(trigger.deployed_by), updated_by=identity(trigger.updated_by)
    )


def _status(trigger: StoredTrigger) -> definitions.TriggerStatus:
    return definitions.TriggerStatus(
        deployed_at=timestamp(trigger.deployed_us),
        updated_at=timestamp(trigger.updated_us),
        triggered_at=timestamp(trigger.triggered_us),
        deleted_at=timestamp(trigger.deleted_us),
    )


def trigger_details(places: Places, trigger: StoredTrigger) -> definitions.TriggerDetails:
    """All there is to say about a trigger."""
    details = definitions.TriggerDetails(
        id=trigger_identifier(places, trigger),
        metadata=_metadata(trigger),
        spec=trigger.spec,
        status=_status(trigger),
        automation_spec=trigger.automation,
    )
    details.spec.active = trigger.is_active
    if trigger.spec.description:
        details.description = trigger.spec.description
    return details


def listed_trigger(places: Places, trigger: StoredTrigger) -> definitions.Trigger:
    """A trigger as it is listed."""
    return definitions.Trigger(
        id=trigger_identifier(places, trigger),
        metadata=_metadata(trigger),
        status=_status(trigger),
        active=trigger.is_active,
        automation_spec=trigger.automation,
    )


def _trigger(reader: StoreReader, key: TriggerKey, *, is_there: bool = True) -> StoredTrigger:
    trigger = find_trigger(reader, key, is_there=is_there)
    if trigger is None:
        raise _unknown(key)
    return trigger


def _unknown(key: TriggerKey) -> UnknownError:
    return UnknownError(
        f"task {key.task_name!r} in {key.project}/{key.domain} has no trigger {key.name!r}: `flyte get trigger` lists "
        "those there are."
    )


def _scope(request: messages.ListTriggersRequest) -> tuple[list[str], dict[str, str]]:
    scope = request.WhichOneof("scope_by")
    if scope in (None, "org"):
        return [], {}
    if scope == "project_id":
        names = {"project": request.project_id.name, "domain": request.project_id.domain}
    else:
        task = getattr(request, scope)
        names = {"project": task.project, "domain": task.domain, "task_name": task.name}
        if scope == "task_id":
            names["task_version"] = task.version
    given = {f"scope_{name}": value for name, value in names.items() if value}
    return [f"{name.removeprefix('scope_')} = :{name}" for name in given], given
