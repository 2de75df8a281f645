"""`SettingsService`: settings of the organisation, of domains and of projects."""

from __future__ import annotations

from flyteidl2.settings import settings_service_pb2 as messages
from flyteidl2.settings.settings_definition_pb2 import SettingsKey

from flyte._server.callers import current_caller
from flyte._server.codes import Context, answering
from flyte._server.refusals import AlreadyThereError, InvalidRequestError, NotNowError, UnknownError
from flyte._server.services.clock import now_us
from flyte._server.services.identifiers import number_of, place_of
from flyte._server.services.places import Places
from flyte._server.services.project_places import require_place
from flyte._server.services.settings_values import check_settings, effective
from flyte._server.services.store import ServedStore
from flyte._store.reader import StoreReader
from flyte._store.served_settings import (
    SettingsLevel,
    StoredSettings,
    create_settings,
    find_settings,
    update_settings,
)


@answering
class SettingsService:
    """Settings; runs that are made later are made with them."""

    def __init__(self, store: ServedStore, places: Places) -> None:
        self._store = store
        self._places = places

    async def get_settings_for_edit(
        self, request: messages.GetSettingsForEditRequest, ctx: Context
    ) -> messages.GetSettingsForEditResponse:
        """What is set at a level and at those above it, broadest first; levels without settings are left out."""
        level = _level(request.key)
        records = await self._store.read(lambda reader: _above(reader, level))
        return messages.GetSettingsForEditResponse(
            requestedKey=self._key(level), levels=[self._record(each) for each in records]
        )

    async def get_settings(self, request: messages.GetSettingsRequest, ctx: Context) -> messages.GetSettingsResponse:
        """What holds at a level. The version is that of the level itself, 0 where nothing is set there."""
        level = _level(request.key)
        records = await self._store.read(lambda reader: _above(reader, level))
        version = records[-1].version if records and records[-1].level == level else 0
        record = StoredSettings(level, effective(records), version)
        return messages.GetSettingsResponse(settingsRecord=self._record(record))

    async def create_settings(
        self, request: messages.CreateSettingsRequest, ctx: Context
    ) -> messages.CreateSettingsResponse:
        """The level has settings, of version 1."""
        level = _level(request.key)
        check_settings(request.settings)
        await require_place(self._store, self._places, level.project, level.domain)
        change = create_settings(level, request.settings, current_caller().subject, now_us())
        if not await self._store.write(change):
            raise AlreadyThereError(f"there are settings {_where(level)}: UpdateSettings changes them.")
        return messages.CreateSettingsResponse(settingsRecord=self._record(StoredSettings(level, request.settings, 1)))

    async def update_settings(
        self, request: messages.UpdateSettingsRequest, ctx: Context
    ) -> messages.UpdateSettingsResponse:
        """The level has these settings, of the next version."""
        level = _level(request.key)
        check_settings(request.settings)
        version = number_of(request.version, "version")
        change = update_settings(StoredSettings(level, request.settings, version), current_caller().subject, now_us())
        if not await self._store.write(change):
            there = await self._store.read(lambda reader: find_settings(reader, level))
            if there is None:
                raise UnknownError(f"there are no settings {_where(level)}: CreateSettings makes them.")
            raise NotNowError(
                f"version is {version}, and the settings {_where(level)} are at {there.version}: read them again."
            )
        return messages.UpdateSettingsResponse(
            settingsRecord=self._record(StoredSettings(level, request.settings, version + 1))
        )

    def _key(self, level: SettingsLevel) -> SettingsKey:
        # The client tells the level of a record by its key, and an organisation that it did not name is no other.
        return SettingsKey(org=self._places.org, domain=level.domain, project=level.project)

    def _record(self, record: StoredSettings) -> messages.SettingsRecord:
        return messages.SettingsRecord(key=self._key(record.level), settings=record.settings, version=record.version)


def _level(key: SettingsKey) -> SettingsLevel:
    if key.project and not key.domain:
        raise InvalidRequestError("key.domain is empty: the settings of a project are those in one of its domains.")
    return SettingsLevel(
        place_of(key.project, "key.project") if key.project else "",
        place_of(key.domain, "key.domain") if key.domain else "",
    )


def _above(reader: StoreReader, level: SettingsLevel) -> list[StoredSettings]:
    with reader.snapshot():
        return [found for each in level.above() if (found := find_settings(reader, each)) is not None]


def _where(level: SettingsLevel) -> str:
    if level.project:
        return f"of {level.project}/{level.domain}"
    return f"of domain {level.domain}" if level.domain else "of the organisation"
