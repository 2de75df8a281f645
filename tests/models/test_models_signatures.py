"""The classes, functions and parameters that the API page of `flyte.models` lists, and the defaults they have."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from inspect import Parameter
from typing import Any

import pytest

from flyte import models

CONSTRUCTORS: dict[str, dict[str, str]] = {
    "ActionID": {
        "name": "str",
        "run_name": "str | None",
        "project": "str | None",
        "domain": "str | None",
        "org": "str | None",
    },
    "Checkpoints": {"prev_checkpoint_path": "str | None", "checkpoint_path": "str | None"},
    "CodeBundle": {
        "computed_version": "str",
        "destination": "str",
        "tgz": "str | None",
        "pkl": "str | None",
        "downloaded_path": "pathlib.Path | None",
    },
    "GroupData": {"name": "str"},
    "NativeInterface": {
        "inputs": "Dict[str, Tuple[Type, Any]]",
        "outputs": "Dict[str, Type]",
        "docstring": "Optional[Docstring]",
    },
    "RawDataPath": {"path": "str"},
    "SerializationContext": {
        "version": "str",
        "project": "str | None",
        "domain": "str | None",
        "org": "str | None",
        "code_bundle": "Optional[CodeBundle]",
        "input_path": "str",
        "output_path": "str",
        "image_cache": "ImageCache | None",
        "root_dir": "Optional[pathlib.Path]",
    },
    "TaskContext": {
        "action": "ActionID",
        "version": "str",
        "raw_data_path": "RawDataPath",
        "output_path": "str",
        "run_base_dir": "str",
        "report": "Report",
        "group_data": "GroupData | None",
        "checkpoints": "InitVar[CheckpointPaths | None]",
        "code_bundle": "CodeBundle | None",
        "compiled_image_cache": "ImageCache | None",
        "data": "Dict[str, Any]",
        "mode": "Literal['local', 'remote', 'hybrid']",
    },
}

METHODS: dict[str, tuple[dict[str, str], str]] = {
    "ActionID.create_random": ({}, "ActionID"),
    "ActionID.new_sub_action": ({"name": "str | None"}, "ActionID"),
    "ActionID.new_sub_action_from": (
        {"task_call_seq": "int", "task_hash": "str", "input_hash": "str", "group": "str | None"},
        "ActionID",
    ),
    "CodeBundle.with_downloaded_path": ({"path": "pathlib.Path"}, "CodeBundle"),
    "NativeInterface.convert_to_kwargs": ({"args": "Any", "kwargs": "Any"}, "Dict[str, Any]"),
    "NativeInterface.from_callable": ({"func": "Callable"}, "NativeInterface"),
    # Takes what the page lists, `Dict[str, Type]`, and pairs with a marker as well.
    "NativeInterface.from_types": (
        {"inputs": "Mapping[str, Type | Tuple[Type, Any]]", "outputs": "Dict[str, Type]"},
        "NativeInterface",
    ),
    "NativeInterface.get_input_types": ({}, "Dict[str, Type]"),
    "NativeInterface.has_outputs": ({}, "bool"),
    "RawDataPath.from_local_folder": ({"local_folder": "str | pathlib.Path | None"}, "RawDataPath"),
    "RawDataPath.get_random_remote_path": ({"file_name": "Optional[str]"}, "str"),
    # Takes what the page lists, `str`, and may be left out.
    "SerializationContext.get_entrypoint_path": ({"interpreter_path": "str | None"}, "str"),
    "TaskContext.replace": ({"kwargs": "Any"}, "TaskContext"),
    "generate_random_name": ({}, "str"),
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "ActionID": {"run_name": None, "project": None, "domain": None, "org": None},
    "Checkpoints": {},
    "CodeBundle": {"destination": ".", "tgz": None, "pkl": None, "downloaded_path": None, "files": None},
    "GroupData": {},
    "NativeInterface": {"docstring": None, "_remote_defaults": None},
    "PathRewrite": {},
    "RawDataPath": {"path_rewrite": None},
    "SerializationContext": {
        "project": None,
        "domain": None,
        "org": None,
        "code_bundle": None,
        "input_path": "{{.input}}",
        "output_path": "{{.outputPrefix}}",
        "interpreter_path": "/opt/venv/bin/python",
        "image_cache": None,
        "root_dir": None,
    },
    "TaskContext": {
        "input_path": None,
        "group_data": None,
        "checkpoint_paths": None,
        "code_bundle": None,
        "compiled_image_cache": None,
        "mode": "remote",
        "interactive_mode": False,
        "disable_run_cache": False,
        "in_driver_literal_conversion": False,
        "task_action": None,
        "_attempt_number": None,
        "checkpoints": None,
    },
}

PUBLIC_NAMES = [
    "ActionID",
    "ActionPhase",
    "BaseCheckpoint",
    "CLUSTERED_WORKER_ENV",
    "CallCounter",
    "Checkpoint",
    "CheckpointPaths",
    "Checkpoints",
    "CodeBundle",
    "Docstring",
    "GroupData",
    "MAX_INLINE_IO_BYTES",
    "NULL_TASK_CONTEXT",
    "NativeInterface",
    "PathRewrite",
    "RawDataPath",
    "SerializationContext",
    "TYPE_CHECKING",
    "TaskContext",
    "generate_random_name",
    "is_clustered_worker_env",
    "sub_action_name",
]


def parameters_of(dotted: str) -> dict[str, Parameter]:
    target: Any = models
    for part in dotted.split("."):
        target = getattr(target, part)
    parameters = dict(inspect.signature(target).parameters)
    parameters.pop("self", None)
    return parameters


def annotations_of(parameters: dict[str, Parameter]) -> dict[str, str]:
    return {name: str(each.annotation).replace('"', "'") for name, each in parameters.items()}


def required_then_listed(listed: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    """What the page lists, in the order found: later releases put new parameters between the old ones."""
    return {name: text for name, text in found.items() if name in listed}


@pytest.mark.parametrize("name", sorted(CONSTRUCTORS))
def test_constructor_has_the_listed_parameters(name: str) -> None:
    listed = CONSTRUCTORS[name]
    assert required_then_listed(listed, annotations_of(parameters_of(name))) == listed


@pytest.mark.parametrize("name", sorted(set(CONSTRUCTORS) - {"TaskContext"}))
def test_listed_parameters_come_in_the_listed_order(name: str) -> None:
    listed = CONSTRUCTORS[name]
    assert list(required_then_listed(listed, annotations_of(parameters_of(name)))) == list(listed)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_has_the_listed_parameters_and_result(name: str) -> None:
    listed, result = METHODS[name]
    found = annotations_of(parameters_of(name))
    assert list(required_then_listed(listed, found).items()) == list(listed.items())
    assert typing.cast(str, inspect.signature(eval(f"models.{name}", {"models": models})).return_annotation) == result


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_defaults_are_the_documented_ones(name: str) -> None:
    found = {
        parameter: each.default
        for parameter, each in parameters_of(name).items()
        if each.default is not Parameter.empty and "factory" not in repr(each.default)
    }
    assert found == DEFAULTS[name]


@pytest.mark.parametrize("name", ["ActionID", "CodeBundle", "RawDataPath", "TaskContext"])
def test_keyword_only_classes_take_nothing_by_position(name: str) -> None:
    assert {each.kind for each in parameters_of(name).values()} == {Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    "name", ["CheckpointPaths", "GroupData", "NativeInterface", "PathRewrite", "SerializationContext"]
)
def test_other_classes_take_their_fields_by_position(name: str) -> None:
    assert {each.kind for each in parameters_of(name).values()} == {Parameter.POSITIONAL_OR_KEYWORD}


@pytest.mark.parametrize(
    "value",
    [
        models.ActionID(name="a"),
        models.CheckpointPaths("p", "c"),
        models.CodeBundle(computed_version="v", tgz="t"),
        models.GroupData("g"),
        models.NativeInterface({}, {}),
        models.RawDataPath(path="/p"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_frozen_classes_refuse_assignment(value: Any) -> None:
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(value, name, "changed")


def test_module_has_no_other_public_names() -> None:
    found = [
        name
        for name, value in vars(models).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    ]
    assert sorted(found) == PUBLIC_NAMES


def test_type_checking_is_false_at_run_time() -> None:
    assert models.TYPE_CHECKING is False


def test_constants() -> None:
    assert models.MAX_INLINE_IO_BYTES == 10_485_760
    assert models.CLUSTERED_WORKER_ENV == "FLYTE_CLUSTERED_WORKER"


def test_checkpoints_is_the_first_name_of_checkpoint_paths() -> None:
    assert models.Checkpoints is models.CheckpointPaths
    assert repr(models.Checkpoints("a", "b")) == "CheckpointPaths('a', 'b')"


@pytest.mark.parametrize(
    "name", ["ActionID", "CheckpointPaths", "CodeBundle", "GroupData", "PathRewrite", "RawDataPath"]
)
def test_annotations_make_sense_at_run_time(name: str) -> None:
    # Such a class may itself be an input of a task.
    cls = getattr(models, name)
    assert set(typing.get_type_hints(cls)) == {each.name for each in dataclasses.fields(cls)}
