from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte._engine.recovery import SourceAction, recoverable
from flyte.models import ActionPhase

DONE = (ActionPhase.SUCCEEDED, ActionPhase.RECOVERED)


@st.composite
def trees(draw: st.DrawFn) -> list[SourceAction]:
    size = draw(st.integers(1, 12))
    return [
        SourceAction(
            name=str(number),
            parent_name=None if number == 0 else str(draw(st.integers(0, number - 1))),
            task_name=draw(st.sampled_from("abc")),
            phase=draw(st.sampled_from(list(ActionPhase))),
        )
        for number in range(size)
    ]


def above(actions: list[SourceAction], action: SourceAction) -> list[SourceAction]:
    by_name = {each.name: each for each in actions}
    line = []
    while action.parent_name is not None:
        action = by_name[action.parent_name]
        line.append(action)
    return line


@given(trees(), st.sets(st.integers(0, 11).map(str)), st.sets(st.sampled_from("abc")))
def test_an_action_is_recovered_if_it_succeeded_and_neither_it_nor_one_below_it_must_run(
    actions: list[SourceAction], forced: set[str], changed: set[str]
) -> None:
    must_run = [each for each in actions if each.name in forced or each.task_name in changed]
    reached = {each.name for action in must_run for each in (action, *above(actions, action))}
    expected = {
        each.name
        for each in actions
        if each.phase in DONE and each.parent_name is not None and each.name not in reached
    }
    assert recoverable(actions, forced, changed) == expected
    assert recoverable(list(reversed(actions)), forced, changed) == expected


@pytest.mark.parametrize("phase", [phase for phase in ActionPhase if phase not in DONE])
def test_what_did_not_succeed_runs_again(phase: ActionPhase) -> None:
    root = SourceAction("a0", None, "root", ActionPhase.FAILED)
    assert recoverable([root, SourceAction("child", "a0", "t", phase)]) == frozenset()
