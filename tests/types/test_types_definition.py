"""Annotations and defaults that can never work are refused where the task is declared."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from typing import Any, Dict, List, Literal, Optional, Tuple

import pytest

from flyte.errors import TaskDefinitionError
from flyte.models import NativeInterface
from flyte.types import TypeEngine
from flyte.types._definition import check_interface
from flyte.types._registry import registry

NO_DEFAULT = inspect.Parameter.empty
BARE_LIST: Any = typing.List


class Number(enum.Enum):
    ONE = 1


class Plain:
    pass


@dataclasses.dataclass
class Holder:
    thing: Plain


@dataclasses.dataclass
class Config:
    depth: int = 1


def refusal(interface: NativeInterface) -> str:
    with pytest.raises(TaskDefinitionError) as caught:
        check_interface(interface, "digits.score")
    return str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "text", "fix"),
    [
        (BARE_LIST, "List", "Write what it holds: `list[int]`, or `list` to have it pickled."),
        (Dict[str, BARE_LIST], "dict[str, List]", "Write what it holds"),
        (Number, "Number", "Give Number text values, or derive it from `enum.IntEnum`."),
        (Optional[List[Number]], "list[", "Give Number text values"),
        (enum.Flag("Bits", ["A"]), "Bits", "Use an IntEnum, or pass the combined value as an int."),
        (Holder, "Holder", "Give the field a type that travels"),
        (Tuple[Plain, int], "tuple[", "Use field types that pydantic knows, or a dataclass."),
    ],
)
def test_type_that_can_never_travel_is_refused_with_task_parameter_and_fix(
    annotation: Any, text: str, fix: str
) -> None:
    message = refusal(NativeInterface({"rows": (annotation, NO_DEFAULT)}, {}))
    assert message.startswith("task 'digits.score': parameter 'rows' is annotated ")
    assert text in message
    assert fix in message
    assert "output 'o0' is annotated" in refusal(NativeInterface({}, {"o0": annotation}))


def test_restricted_type_is_refused() -> None:
    class Forbidden:
        pass

    before = dict(registry._restricted)
    TypeEngine.register_restricted_type("forbidden", Forbidden)
    try:
        assert "is restricted currently" in refusal(NativeInterface({"x": (Forbidden, NO_DEFAULT)}, {}))
    finally:
        registry._restricted = before
        registry.revision += 1


@pytest.mark.parametrize(
    ("annotation", "default", "fix"),
    [
        (int, None, "Annotate `x: int | None`."),
        (List[int], None, "Annotate `x: list[int] | None`."),
        (int, "3", "Change one."),
        (bool, 0, "Pass `bool(...)` of it."),
        (List[int], (1, 2), "Pass `list(...)` of it."),
        (Config, 3, "Change one."),
    ],
)
def test_default_that_does_not_fit_is_refused_with_the_fix(annotation: Any, default: Any, fix: str) -> None:
    message = refusal(NativeInterface({"x": (annotation, default)}, {}))
    assert f"the default of parameter 'x', {default!r}, does not fit its annotation" in message
    assert message.endswith(fix)


def test_whole_interface_that_works_passes() -> None:
    def func(
        a: int,
        rate: float = 1,
        maybe: Optional[float] = 2,
        kind: Literal["x", "y"] = "x",
        config: Config = Config(),
        names: List[str] = [],
        anything: Any = None,
        data: bytes = b"x" * 100_000,
        bare: list = [],  # type: ignore[type-arg]
    ) -> None: ...

    check_interface(NativeInterface.from_callable(func), "t")
    check_interface(NativeInterface.from_types({"x": (int, NativeInterface.has_default)}, {}, {"x": None}), "t")
