"""Settings of the organisation, its domains and their projects."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from flyteidl2.settings.settings_definition_pb2 import Settings

from flyte._store.reader import StoreReader
from flyte._store.statements import statement
from flyte._store.writer import Change


@dataclass(frozen=True, slots=True)
class SettingsLevel:
    """Where settings are made: without a project for all of a domain, without either for all."""

    project: str
    domain: str

    def above(self) -> list[SettingsLevel]:
        """This level and those that it inherits from, broadest first."""
        levels = [SettingsLevel("", "")]
        if self.domain:
            levels.append(SettingsLevel("", self.domain))
        if self.project:
            levels.append(self)
        return levels


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """The settings of a level, of which each change is a version."""

    level: SettingsLevel
    settings: Settings
    version: int


def create_settings(level: SettingsLevel, settings: Settings, by: str, now_us: int) -> Change:
    """A change by which the level has settings; its result tells whether it had none."""
    row = (level.project, level.domain, settings.SerializeToString(deterministic=True), by, now_us)

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("create_settings"), row).rowcount == 1

    return change


def update_settings(new: StoredSettings, by: str, now_us: int) -> Change:
    """A change by which the level has these; its result tells whether the version was still that one."""
    data = new.settings.SerializeToString(deterministic=True)
    row = (data, by, now_us, new.level.project, new.level.domain, new.version)

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("update_settings"), row).rowcount == 1

    return change


def find_settings(reader: StoreReader, level: SettingsLevel) -> StoredSettings | None:
    """What is set at a level itself."""
    rows = reader.select(statement("settings"), (level.project, level.domain))
    if not rows:
        return None
    return StoredSettings(level, Settings.FromString(rows[0]["settings"]), rows[0]["version"])
