"""Action phases and their protobuf numbers."""

from __future__ import annotations

import pytest
from flyteidl2.common import phase_pb2

from flyte.models import ActionPhase


def test_phases_come_in_the_order_of_a_life() -> None:
    assert [phase.value for phase in ActionPhase] == [
        "queued",
        "waiting_for_resources",
        "initializing",
        "running",
        "paused",
        "succeeded",
        "failed",
        "aborted",
        "timed_out",
        "recovered",
    ]


@pytest.mark.parametrize("phase", list(ActionPhase))
def test_protobuf_knows_each_phase_by_name_and_number(phase: ActionPhase) -> None:
    number = phase.to_protobuf_value()
    assert phase_pb2.ActionPhase.Name(phase_pb2.ActionPhase.ValueType(number)) == phase.to_protobuf_name()
    assert ActionPhase.from_protobuf(number) is phase


@pytest.mark.parametrize("number", [0, 11, -1])
def test_number_without_a_phase_is_refused_with_its_value(number: int) -> None:
    with pytest.raises(ValueError, match=f"^{number} is"):
        ActionPhase.from_protobuf(number)


def test_terminal_phases() -> None:
    assert {phase.value for phase in ActionPhase if phase.is_terminal} == {
        "succeeded",
        "failed",
        "aborted",
        "timed_out",
        "recovered",
    }


def test_phase_equals_its_value_and_prints_its_name() -> None:
    assert {"queued": 1}[ActionPhase.QUEUED] == 1
    assert str(ActionPhase.QUEUED) == f"{ActionPhase.QUEUED}" == "ActionPhase.QUEUED"


def test_a_phase_finds_what_a_dict_holds_under_its_text() -> None:
    assert {"queued": 1}[ActionPhase.QUEUED] == 1
    assert {ActionPhase.FAILED: 2}["failed"] == 2  # type: ignore[index]
