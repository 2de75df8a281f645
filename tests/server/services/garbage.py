"""Messages that fit their schema and mean nothing, or nearly something."""

from __future__ import annotations

from random import Random
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_DEPTH = 6

TEXTS = (
    *("", "r", "local-run", "a0", "child", "flytesnacks", "development", "env.root", "v1", "nightly", "local"),
    *("created_at", "phase", "name", "labels.team", "task_name", "action_type", "4", "true", "2026-01-31T12:00:00Z"),
    *("../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "s3://nobody/nothing", "..", "."),
    *("\0", "a\nb", "é" * 300, "x" * 5000, "' OR 1=1 --", "{{.runName}}", "%s%n", "W10=", "bm90IGpzb24=", "\U0001f600"),
    *("eq(state, 0)", "eq(state", "value_in(id, a;b)+ne(name, c)", "WyJjcmVhdGVkX2F0IiwgdHJ1ZSwgMSwgMV0="),
)
_INTEGERS = (0, 1, 2, 3, 100, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
_BOUNDS = {
    Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT32: (0, 2**32 - 1),
    Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_SENSIBLE: dict[str, tuple[Any, ...]] = {
    "RunIdentifier.name": ("r", "local-run", "done"),
    "ActionIdentifier.name": ("a0", "a0", "child", "question"),
    "ProjectIdentifier.name": ("flytesnacks",),
    "Project.id": ("flytesnacks", "other"),
    "GetProjectRequest.id": ("flytesnacks", "other"),
    "TriggerName.name": ("nightly",),
    "TaskTrigger.name": ("nightly", "hourly"),
    "TaskName.name": ("env.root",),
    "TaskIdentifier.name": ("env.root", "env.other"),
    "SecretIdentifier.name": ("token", "password"),
    "project": ("flytesnacks",),
    "domain": ("development", "staging"),
    "organization": ("", "local", "acme"),
    "org": ("", "local", "acme"),
    "version": ("v1", "v2"),
    "task_version": ("v1",),
    "task_name": ("env.root",),
    "parent_action_name": ("a0",),
    "input_uri": ("/nowhere/inputs.pb",),
    "limit": (0, 1, 2, 1000),
    "token": ("",),
    "key": ("created_at", "name", "phase"),
    "field": ("phase", "name", "created_at", "labels.team"),
    "attempt": (1,),
    "revision": (0, 1),
    "state": (0, 1),
    "filters": ("", "eq(state, 0)"),
    "string_value": ("word",),
    "expression": ("0 * * * *",),
    "cron_expression": ("0 * * * *",),
}
"""What fields hold, by message and name or by name alone, where a message is to get past the first checks."""

_LEFT_OUT = {"raw_filters", "sort_by_fields"}


def tameness(random: Random) -> float:
    """How often the next message has something sensible in a field."""
    return random.choice((0.0, 0.6, 0.8, 0.9, 0.95))


def fill(random: Random, message: M, tame: float, depth: int = 0) -> M:
    """The message, with garbage in some of its fields."""
    for field in message.DESCRIPTOR.fields:
        if random.random() < 0.3 - 0.27 * tame or depth > _DEPTH:
            continue
        if field.name in _LEFT_OUT and random.random() < tame:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(random, message, field, tame, depth)
        elif field.is_repeated:
            for _ in range(random.choice((0, 1, 1, 2, 3))):
                if field.message_type is not None:
                    fill(random, getattr(message, field.name).add(), tame, depth + 1)
                else:
                    getattr(message, field.name).append(_value(random, field, tame))
        elif field.message_type is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            fill(random, target, tame, depth + 1)
        else:
            setattr(message, field.name, _value(random, field, tame))
    return message


def _fill_map(random: Random, message: Message, field: Any, tame: float, depth: int) -> None:
    key, value = field.message_type.fields
    entries = getattr(message, field.name)
    for _ in range(random.choice((0, 1, 2))):
        name = _value(random, key, tame)
        if value.message_type is not None:
            fill(random, entries[name], tame, depth + 1)
        else:
            entries[name] = _value(random, value, tame)


def _value(random: Random, field: Any, tame: float) -> Any:
    sensible = _SENSIBLE.get(f"{field.containing_type.name}.{field.name}") or _SENSIBLE.get(field.name)
    if sensible is not None and random.random() < tame:
        fits = [each for each in sensible if isinstance(each, str) == (field.cpp_type == Field.CPPTYPE_STRING)]
        if fits and field.type != Field.TYPE_BYTES:
            return random.choice(fits)
    if field.cpp_type == Field.CPPTYPE_STRING:
        if field.type == Field.TYPE_BYTES:
            return random.choice((b"", b"\0", random.randbytes(16), random.randbytes(300)))
        return random.choice(TEXTS)
    if field.cpp_type == Field.CPPTYPE_BOOL:
        return random.random() < 0.5
    if field.cpp_type == Field.CPPTYPE_ENUM:
        return random.choice((*(each.number for each in field.enum_type.values), 77))
    if field.cpp_type in (Field.CPPTYPE_DOUBLE, Field.CPPTYPE_FLOAT):
        return random.choice((0.0, -1.5, 1e300 if field.cpp_type == Field.CPPTYPE_DOUBLE else 1e30, float("nan")))
    low, high = _BOUNDS[field.cpp_type]
    return max(low, min(high, random.choice(_INTEGERS)))
