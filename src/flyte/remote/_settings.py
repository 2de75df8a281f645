"""Settings that a control plane keeps for an organisation, its domains and projects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flyteidl2.settings import settings_definition_pb2 as messages
from flyteidl2.settings import settings_service_pb2 as service

from flyte._rpc.settings import current_session
from flyte.remote._class_calls import on_class
from flyte.syncify import syncify

_LEAVES = {
    "StringSetting": "string_value",
    "Int64Setting": "int_value",
    "BoolSetting": "bool_value",
    "StringMapSetting": "map_value",
    "QuantitySetting": "quantity_value",
}


@dataclass(frozen=True)
class EffectiveSetting:
    """A setting as it holds.

    Attributes:
        key: Its name, such as `run.default_queue`.
        value: Its value.
        scope: Where it was set.
    """

    key: str
    value: Any
    scope: str


@dataclass(frozen=True)
class LocalSetting:
    """A setting of the very scope that was asked for."""

    key: str
    value: Any


@dataclass
class Settings:
    """The settings of a scope, with those that it takes over from the ones above it."""

    effective_settings: list[EffectiveSetting]
    local_settings: list[LocalSetting]
    domain: str | None = None
    project: str | None = None
    _version: int = 0
    _record: messages.Settings = field(default_factory=messages.Settings, repr=False)

    @staticmethod
    def available_keys() -> list[str]:
        """The names of all settings."""
        return [key for key, _ in _leaves(messages.Settings.DESCRIPTOR)]

    def local_overrides(self) -> dict[str, Any]:
        """The settings of this very scope."""
        return {each.key: each.value for each in self.local_settings}

    def effective_values(self) -> dict[str, Any]:
        """The settings that hold in it."""
        return {each.key: each.value for each in self.effective_settings}

    def scope_description(self) -> str:
        """The scope, in words."""
        return _scope(self.project, self.domain)

    def to_dict(self) -> dict[str, Any]:
        """The settings that hold, and those of this scope."""
        return {"effective": self.effective_values(), "local": self.local_overrides()}

    def to_json(self) -> str:
        """The same as text."""
        import json

        return json.dumps(self.to_dict())

    def to_yaml_sections(self) -> list[tuple[str, str]]:
        """YAML to edit: a heading, and the settings below it."""
        import yaml

        local = self.local_overrides()
        taken = {key: value for key, value in self.effective_values().items() if key not in local}
        sections = [(f"Settings of {self.scope_description()}", local), ("Taken over", taken)]
        return [(title, yaml.safe_dump(values, sort_keys=True)) for title, values in sections if values]

    def to_yaml(self) -> str:
        """The settings of this scope as YAML; the others as comments."""
        lines = []
        for number, (title, text) in enumerate(self.to_yaml_sections()):
            is_local = number == 0 and bool(self.local_settings)
            lines.append(f"# {title}")
            lines += text.splitlines() if is_local else [f"# {line}" for line in text.splitlines()]
        return "\n".join(lines) + "\n"

    @staticmethod
    def parse_yaml(yaml_content: str) -> dict[str, Any]:
        """The settings that YAML says.

        Raises:
            ValueError: it is no YAML, or names what is no setting.
        """
        import yaml

        try:
            values = yaml.safe_load(yaml_content) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"this is no YAML: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"settings are names and values, got a {type(values).__name__}.")
        _check(values)
        return values

    @on_class
    @classmethod
    async def get_settings_for_edit(cls, project: str | None = None, domain: str | None = None) -> Settings:
        """The settings of a project, of a domain, or without both of the organisation.

        Raises:
            ValueError: a project without its domain.
        """
        if project is not None and domain is None:
            raise ValueError(f"project={project!r}: settings of a project are those of it in a domain; give that too.")
        session = current_session()
        key = messages.SettingsKey(org=session.org, domain=domain or "", project=project or "")
        request = service.GetSettingsForEditRequest(key=key)
        answer = await session.stored_settings.get_settings_for_edit(request)
        effective: dict[str, EffectiveSetting] = {}
        local: list[LocalSetting] = []
        version, record = 0, messages.Settings()
        for level in answer.levels:
            scope = _scope(level.key.project or None, level.key.domain or None)
            is_own = (level.key.project, level.key.domain) == (key.project, key.domain)
            for name, value in _values(level.settings):
                effective[name] = EffectiveSetting(name, value, scope)
                if is_own:
                    local.append(LocalSetting(name, value))
            if is_own:
                version, record = level.version, level.settings
        return cls(list(effective.values()), local, domain, project, version, record)

    @syncify
    async def update_settings(self, overrides: dict[str, Any]) -> None:
        """The settings of this very scope are these, and no others.

        Raises:
            ValueError: one of them is no setting.
            UnionRpcError: somebody else changed them since they were asked for.
        """
        _check(overrides)
        session = current_session()
        key = messages.SettingsKey(org=session.org, domain=self.domain or "", project=self.project or "")
        settings = messages.Settings()
        for name, value in overrides.items():
            _put(settings, name, value)
        if self._version:
            answer: Any = await session.stored_settings.update_settings(
                service.UpdateSettingsRequest(key=key, settings=settings, version=self._version)
            )
        else:
            answer = await session.stored_settings.create_settings(
                service.CreateSettingsRequest(key=key, settings=settings)
            )
        self._version = answer.settingsRecord.version
        self.local_settings = [LocalSetting(name, value) for name, value in overrides.items()]


def _scope(project: str | None, domain: str | None) -> str:
    if project:
        return f"project {project} in domain {domain}"
    return f"domain {domain}" if domain else "the organisation"


def _leaves(descriptor: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for each in descriptor.fields:
        if each.message_type is None:
            continue
        if each.message_type.name in _LEAVES:
            yield prefix + each.name, each
        elif each.message_type.name != "AcceleratorSetting":
            yield from _leaves(each.message_type, f"{prefix}{each.name}.")


def _values(settings: messages.Settings) -> Iterator[tuple[str, Any]]:
    for key, each in _leaves(messages.Settings.DESCRIPTOR):
        holder: Any = settings
        *above, name = key.split(".")
        for part in above:
            holder = getattr(holder, part)
        leaf = getattr(holder, name)
        if leaf.state == messages.SETTING_STATE_VALUE:
            value = getattr(leaf, _LEAVES[each.message_type.name])
            yield key, dict(value.entries) if each.message_type.name == "StringMapSetting" else value


def _put(settings: messages.Settings, key: str, value: Any) -> None:
    holder: Any = settings
    *above, name = key.split(".")
    for part in above:
        holder = getattr(holder, part)
    leaf = getattr(holder, name)
    leaf.state = messages.SETTING_STATE_VALUE
    try:
        if type(leaf).DESCRIPTOR.name == "StringMapSetting":
            leaf.map_value.entries.update(value)
        else:
            setattr(leaf, _LEAVES[type(leaf).DESCRIPTOR.name], value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"setting {key!r} cannot be {value!r}: {error}") from error


def _check(values: dict[str, Any]) -> None:
    known = Settings.available_keys()
    for key in values:
        if key not in known:
            from flyte._authoring.expectations import near_name

            raise ValueError(f"there is no setting {key!r}.{near_name(str(key), known)} There are: {', '.join(known)}.")
