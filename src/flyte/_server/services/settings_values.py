"""Settings of several levels as one, and what they do to a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from flyteidl2.core.literals_pb2 import KeyValuePair
from flyteidl2.settings.settings_definition_pb2 import (
    SETTING_STATE_INHERIT,
    SETTING_STATE_VALUE,
    Settings,
)
from flyteidl2.task.run_pb2 import RunSpec
from google.protobuf.message import Message

from flyte._server.refusals import InvalidRequestError
from flyte._server.services.identifiers import check_variable, folder_of
from flyte._store.served_settings import StoredSettings

APPLIED = (
    "run.default_queue",
    "run.max_action_concurrency",
    "run.run_base_dir",
    "storage.raw_data_path",
    "labels",
    "annotations",
    "environment_variables",
)
"""The settings that have an effect here; others are refused."""

_LARGEST_CONCURRENCY = 2**32 - 1


def check_settings(settings: Settings) -> None:
    """Nothing, of settings that this server applies.

    Raises:
        InvalidRequestError: it would ignore one of them; the text names it.
    """
    for name, leaf in leaves_of(settings):
        if leaf.state == SETTING_STATE_INHERIT:
            continue
        if name not in APPLIED:
            raise InvalidRequestError(
                f"setting {name} has no effect on this server, so it is not kept: expected {', '.join(APPLIED)}."
            )
        if name == "run.max_action_concurrency" and not 0 <= leaf.int_value <= _LARGEST_CONCURRENCY:
            raise InvalidRequestError(
                f"setting {name} is {leaf.int_value}: expected 0, for no bound, to {_LARGEST_CONCURRENCY}."
            )
        if name in ("run.run_base_dir", "storage.raw_data_path"):
            folder_of(leaf.string_value, f"setting {name}")
        if name == "environment_variables":
            for key, value in leaf.map_value.entries.items():
                check_variable(key, value, f"setting {name}")


def leaves_of(settings: Message, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting that a message has, under its dotted name."""
    for field, value in settings.ListFields():
        if field.message_type is None or field.is_repeated:
            continue
        name = f"{prefix}{field.name}"
        if "state" in field.message_type.fields_by_name:
            yield name, value
        else:
            yield from leaves_of(value, f"{name}.")


def effective(levels: Sequence[StoredSettings]) -> Settings:
    """What holds at the last of the levels; each setting says which level it is from.

    Maps are merged key by key, as the client shows them.
    """
    merged = Settings()
    for record in levels:
        scope = 2 if record.level.project else 1 if record.level.domain else 0
        for name, leaf in leaves_of(record.settings):
            if leaf.state == SETTING_STATE_INHERIT:
                continue
            target = _leaf(merged, name)
            before = dict(target.map_value.entries) if leaf.DESCRIPTOR.name == "StringMapSetting" else {}
            target.CopyFrom(leaf)
            target.scope_level = scope
            if leaf.state == SETTING_STATE_VALUE and before:
                for key, value in before.items():
                    if key not in leaf.map_value.entries:
                        target.map_value.entries[key] = value
    return merged


def _leaf(settings: Message, name: str) -> Any:
    target: Any = settings
    for part in name.split("."):
        target = getattr(target, part)
    return target


def with_settings(run_spec: RunSpec, settings: Settings) -> RunSpec:
    """How a run is run, where it does not say so itself, by the settings of its project."""
    spec = RunSpec()
    spec.CopyFrom(run_spec)
    run, storage = settings.run, settings.storage
    if not spec.queue and run.default_queue.state == SETTING_STATE_VALUE:
        spec.queue = run.default_queue.string_value
    if not spec.max_action_concurrency and run.max_action_concurrency.state == SETTING_STATE_VALUE:
        spec.max_action_concurrency = run.max_action_concurrency.int_value
    if not spec.run_base_dir and run.run_base_dir.state == SETTING_STATE_VALUE:
        spec.run_base_dir = run.run_base_dir.string_value
    if not spec.raw_data_storage.raw_data_prefix and storage.raw_data_path.state == SETTING_STATE_VALUE:
        spec.raw_data_storage.raw_data_prefix = storage.raw_data_path.string_value
    if settings.labels.state == SETTING_STATE_VALUE:
        _fill(spec.labels.values, settings.labels.map_value.entries)
    if settings.annotations.state == SETTING_STATE_VALUE:
        _fill(spec.annotations.values, settings.annotations.map_value.entries)
    if settings.environment_variables.state == SETTING_STATE_VALUE:
        given = {pair.key for pair in spec.envs.values}
        wanted = settings.environment_variables.map_value.entries
        spec.envs.values.extend(KeyValuePair(key=key, value=wanted[key]) for key in sorted(set(wanted) - given))
    return spec


def _fill(given: MutableMapping[str, str], wanted: Mapping[str, str]) -> None:
    for key in sorted(wanted):
        if key not in given:
            given[key] = wanted[key]
