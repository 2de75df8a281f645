"""The hash of inputs: the vectors of the official release, and what it does not depend on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any, Dict, List, Optional, Set

import pytest
from flyteidl2.task.common_pb2 import Inputs
from pydantic import BaseModel

from flyte.models import ActionID
from flyte.types._choice import converter_for
from flyte.types._hashing import inputs_hash


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Config:
    depth: int
    rates: Dict[str, float]
    name: str = "x"


class Model(BaseModel):
    a: int
    color: Color = Color.RED


def inputs(**values: tuple[Any, Any]) -> Inputs:
    message = Inputs()
    for name, (annotation, value) in values.items():
        message.literals.add(name=name, value=converter_for(annotation).encode(value))
    return message


def test_no_inputs_hash_to_nothing() -> None:
    assert inputs_hash(Inputs()) == ""


def test_vector_of_one_int_and_the_names_made_from_it() -> None:
    digest = inputs_hash(inputs(x=(int, 3)))
    assert digest == "KEIwDYbtpDdIagAWFbRccD+Dtrek8VoZiFNuVXfwSdo="
    names = [ActionID(name=name).new_sub_action_from(1, "e1.top", digest, None).name for name in ("myrun", "a0")]
    assert names == ["7qlmg2qkfb4vckh4o1bg23wah", "6gye2twq4crhds2g5i0y0t6oq"]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (str, "é", "rL/u4YSOFJPeY8DqrRHCnvrDP3qmQLGKUqXJRNufCRI="),
        (List[int], [1, 2], "NIPCwly+vsDMLWlmBHMnu5+3iAmztSCwBMLOrnFcfpE="),
        (List[List[int]], [[1], []], "mwz8D2D27AaNIuSl3c0hyVeHhgDGpyQZdtnWBWKxGAc="),
        (Dict[str, int], {"b": 1, "a": 2}, "XlIE+UF6McN9xFTkdFudsm29ngYXy6KE2YLVQphRRsA="),
        (dict, {"b": {"z": 1, "col": [None, 1.5]}, "a": 2}, "nid3vbTygq3UIKaW1pDnBhPgTdeHHYK4QBXwnI/9uto="),
        (Dict[int, str], {300: "a", 1: "b"}, "uBE1ZIXNr+S72dqE+JviCfhXG9RN8F6cGgOCE0JHWdM="),
        (Optional[int], 3, "oGu1REitRGu/OtUHFir5Dua90dqMBKSWPCZxVHknSic="),
        (Optional[dict], {"b": 1, "a": 2}, "8kai0RIv5xfo6qCMIfa7q335gTddfnN4o2r18CHyZmM="),
        (set, {1, 2}, "RN/Z8B6IULrApcyv830GuVcWDn+OV40hQybBKG6o/Eg="),
        (List[Set[int]], [{1, 2}], "RN/Z8B6IULrApcyv830GuVcWDn+OV40hQybBKG6o/Eg="),
        (Config, Config(1, {"z": 1.0, "a": 2.0}), "9hgEgvPLHQHL0INCMDclPertqzE5gwkNLSM6iArUdvI="),
        (Model, Model(a=1), "cTvWDrfBkiOaTWwBz9YnKj/UPTr6r6phdbADmpAdTEQ="),
        (dt.datetime, dt.datetime(2024, 1, 1), "0fC5a1mSF4CD1/KY42scXTvgeZkL+5Xx6vtbTFSDzzE="),
        (Color, Color.RED, "SGaKcYQ55VnacO8cMoEUbnNnG/EAru+ZtVr/c+ykkGI="),
        (type(None), None, "TF1hZKMa6Du0LUvzU0Ir2Uevd5x+GXfFKD+xoDqHavg="),
    ],
)
def test_hash_is_that_of_the_official_release(annotation: Any, value: Any, expected: str) -> None:
    assert inputs_hash(inputs(x=(annotation, value))) == expected


@pytest.mark.parametrize(
    ("annotation", "one", "other"),
    [
        (dict, {"a": 1, "b": {"d": 1, "c": [{"f": 1, "e": 2}]}}, {"b": {"c": [{"e": 2, "f": 1}], "d": 1}, "a": 1}),
        (Dict[int, str], {1: "a", 2: "b"}, {2: "b", 1: "a"}),
        (Dict[str, int], {"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (set, {8, 0}, {0, 8}),
        (List[dict], [{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),  # type: ignore[type-arg]
        (Config, Config(1, {"a": 1.0, "b": 2.0}), Config(1, {"b": 2.0, "a": 1.0})),
    ],
)
def test_order_of_keys_and_sets_does_not_matter(annotation: Any, one: Any, other: Any) -> None:
    assert inputs_hash(inputs(x=(annotation, one))) == inputs_hash(inputs(x=(annotation, other)))


def test_names_values_and_their_order_matter() -> None:
    hashes = [
        inputs_hash(inputs(x=(int, 1), y=(int, 2))),
        inputs_hash(inputs(y=(int, 2), x=(int, 1))),
        inputs_hash(inputs(x=(int, 2), y=(int, 1))),
        inputs_hash(inputs(x=(int, 1), z=(int, 2))),
        inputs_hash(inputs(x=(int, 1))),
    ]
    assert len(set(hashes)) == len(hashes)


def test_ignored_inputs_are_left_out() -> None:
    both = inputs(x=(int, 1), y=(int, 2))
    assert inputs_hash(both, frozenset({"y"})) == inputs_hash(inputs(x=(int, 1)))
    assert inputs_hash(both, {"x", "y"}) == ""


def test_hash_that_a_literal_carries_stands_for_it() -> None:
    one, other = inputs(x=(int, 1)), inputs(x=(int, 2))
    for message in (one, other):
        message.literals[0].value.hash = "same"
    assert inputs_hash(one) == inputs_hash(other) != inputs_hash(inputs(x=(int, 1)))


def test_document_that_cannot_be_decoded_is_hashed_as_it_is() -> None:
    broken = inputs(x=(dict, {}))
    broken.literals[0].value.scalar.binary.value = b"\xc1"
    assert inputs_hash(broken) == "fWc0QeNNZau7VAtFks8iCTeuHfpXMYvjwwv9tJSs60k="
