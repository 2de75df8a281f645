"""Text from the command line to the value of a task's input."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any

from flyte.cli._data_inputs import FORMS, data_kind
from flyte.cli._json_values import (
    SCALARS,
    Mismatch,
    data_at,
    from_json,
    in_order,
    load_object,
    near,
    parse_reference,
    record_from_json,
)
from flyte.cli._moments import DATETIME_FORMS, DURATION_FORMS
from flyte.cli._type_texts import (
    MAPPINGS,
    SEQUENCES,
    SETS,
    choices_of,
    fields_of,
    is_pydantic_model,
    is_record,
    is_union,
    plain,
    show_example,
    show_type,
)

_FILE_SUFFIXES = (".json", ".yaml", ".yml")
_FORMS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "datetime": DATETIME_FORMS,
    "date": DATETIME_FORMS,
    "timedelta": DURATION_FORMS,
}


def parse_input(text: str, annotation: Any, default: Any = None) -> Any:
    """The value that `text` is for an input of type `annotation`.

    Args:
        text: As typed: a scalar, JSON, the path of a JSON or YAML file, or `module:name`.
        annotation: The input's type.
        default: The input's default: fields that a JSON object leaves out are those of a dataclass or model default.

    Raises:
        Mismatch: the text does not fit the annotation; the message says why.
    """
    annotation = plain(annotation)
    if annotation is Any:
        return _object_or_text(text)
    if is_union(annotation):
        return _from_variants(text, annotation, default)
    choices = choices_of(annotation)
    if choices is not None:
        return _choice(text, choices, annotation)
    kind = data_kind(annotation)
    if kind is not None and not text.lstrip().startswith("{"):
        return data_at(text, annotation, kind)
    if annotation in SCALARS:
        try:
            return SCALARS[annotation](text)
        except ValueError as error:
            raise Mismatch(str(error)) from None
    if not _is_json(annotation):
        return load_object(text, annotation)
    value = _load_json(text)
    if isinstance(value, dict) and type(default) is annotation and _fills_in(default):
        return record_from_json(value, annotation, base=default)
    return from_json(value, annotation)


def _fills_in(default: Any) -> bool:
    return dataclasses.is_dataclass(default) or is_pydantic_model(type(default))


def _object_or_text(text: str) -> Any:
    # "host:port" and "a: b" are texts: nothing can be imported by such a name.
    reference = parse_reference(text)
    return load_object(text, Any) if reference and _is_importable(reference[0]) else text


def _is_importable(module_name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module_name) is not None
    except (ImportError, ValueError):
        return False


def _from_variants(text: str, annotation: Any, default: Any) -> Any:
    variants = _typed_variants(annotation)
    reasons = []
    for variant in in_order(variants):
        try:
            return parse_input(text, variant, default)
        except Mismatch as error:
            reasons.append(str(error))
    raise Mismatch(reasons[0] if len(reasons) == 1 else f"none of its types takes it ({'; '.join(reasons)})")


def _choice(text: str, choices: dict[str, Any], annotation: Any) -> Any:
    if text in choices:
        return choices[text]
    named = [name for name, choice in choices.items() if getattr(choice, "value", choice) == text]
    hint = f"; did you mean {named[0]}?" if named else near(text, choices)
    raise Mismatch(f"{text!r} is none of {show_type(annotation)}{hint}")


def _is_json(annotation: Any) -> bool:
    origin = typing.get_origin(annotation) or annotation
    return is_record(annotation) or origin is tuple or origin in (*SEQUENCES, *SETS, *MAPPINGS)


def _load_json(text: str) -> Any:
    if text.lstrip()[:1] not in ("[", "{") and text.endswith(_FILE_SUFFIXES):
        return _load_file(Path(text).expanduser())
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Mismatch(f"it is neither JSON ({error}) nor the path of a .json or .yaml file") from None


def _load_file(path: Path) -> Any:
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Mismatch(f"file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if path.suffix == ".json":
        try:
            return json.loads(content)
        except json.JSONDecodeError as error:
            raise Mismatch(f"file {path} holds no JSON: {error}") from None
    import yaml

    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise Mismatch(f"file {path} holds no YAML: {' '.join(str(error).split())}") from None


def expected_form(annotation: Any) -> str:
    """What one types for a value of this type, in a few words."""
    annotation = plain(annotation)
    if is_union(annotation):
        return ", or ".join(expected_form(each) for each in _typed_variants(annotation))
    if choices := choices_of(annotation):
        return f"one of {', '.join(choices)}"
    if (kind := data_kind(annotation)) is not None:
        return FORMS[kind]
    if annotation in SCALARS:
        return _FORMS.get(annotation.__name__, f"text of a {annotation.__name__}")
    if _is_json(annotation):
        return f"{show_type(annotation)} as JSON{_show_fields(annotation)}, or a .json or .yaml file"
    return "an importable object as package.module:name"


def _typed_variants(union: Any) -> list[Any]:
    return [each for each in typing.get_args(union) if each is not types.NoneType]


def _show_fields(annotation: Any) -> str:
    parts = (annotation, *map(plain, typing.get_args(annotation)))
    if any(data_kind(each) for each in parts):
        return " of paths or URLs"
    records = [each for each in parts if is_record(each)]
    if not records:
        return ""
    fields = fields_of(records[0]).items()
    shown = ", ".join(f"{name}{'' if is_required else '?'}: {show_type(each)}" for name, (each, is_required) in fields)
    return f" {{{shown}}}"


def needs_no_words(annotation: Any) -> bool:
    """True where the name of the type, or its choices, say what one types."""
    annotation = plain(annotation)
    if is_union(annotation):
        return all(needs_no_words(each) for each in _typed_variants(annotation))
    return annotation in (bool, int, float, str, Path) or choices_of(annotation) is not None


def input_error(option: str, text: str, annotation: Any, error: Mismatch) -> str:
    """The message for a value that does not fit: option, value, reason, expected form and an example."""
    reason = str(error)
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    head = option if reason.startswith(repr(text)) else f"{option} {shown!r}"
    end = "" if reason.endswith("?") else "."
    return (
        f"{head}: {reason}{end} Expected {expected_form(annotation)}; for example {option} {show_example(annotation)}"
    )
