from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte._engine.attempts import AttemptRules, Backoff, Failure, Finish, Retry, after_failure
from flyte._engine.lifecycle import SUCCESSORS, may_follow
from flyte._engine.names import ROOT_ACTION, check_run_name, child_name
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase

FAILURE = Failure("ValueError", "user", "boom")
X_IS_3 = "KEIwDYbtpDdIagAWFbRccD+Dtrek8VoZiFNuVXfwSdo="


@pytest.mark.parametrize(
    ("parent", "name"), [("myrun", "7qlmg2qkfb4vckh4o1bg23wah"), (ROOT_ACTION, "6gye2twq4crhds2g5i0y0t6oq")]
)
def test_a_call_has_the_name_that_the_protocol_gives_it(parent: str, name: str) -> None:
    assert child_name(parent, "e1.top", X_IS_3, None, {}) == name


def test_equal_calls_of_one_parent_get_different_names_in_a_fixed_order() -> None:
    first: dict[str, int] = {}
    second: dict[str, int] = {}
    names = [child_name("a0", "e.t", "h", None, first) for _ in range(3)]
    assert len(set(names)) == 3
    assert names == [child_name("a0", "e.t", "h", None, second) for _ in range(3)]


@given(
    st.permutations([("e.a", "1", None), ("e.a", "2", None), ("e.b", "1", None), ("e.a", "1", "g"), ("e.a", "1", None)])
)
def test_names_do_not_depend_on_the_order_in_which_different_calls_start(
    calls: Sequence[tuple[str, str, str | None]],
) -> None:
    in_order = sorted(calls, key=str)
    named = {child_name("a0", *call, counts) for counts in [dict[str, int]()] for call in calls}
    assert named == {child_name("a0", *call, counts) for counts in [dict[str, int]()] for call in in_order}
    assert len(named) == len(calls)


@pytest.mark.parametrize("name", ["a", "r1", "my-run", "a.b_c-9", "x" * 63])
def test_a_run_may_be_named(name: str) -> None:
    assert check_run_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "..", ".", "a b", "x" * 64, "é", "a\n"])
def test_a_run_may_not_be_named(name: str) -> None:
    with pytest.raises(RuntimeUserError, match="is not allowed") as caught:
        check_run_name(name)
    assert caught.value.code == "BadRunName"
    assert repr(name) in str(caught.value)


@given(
    max_attempts=st.integers(1, 20),
    outcomes=st.lists(st.builds(Failure, st.just("E"), st.just("user"), st.just(""), st.booleans(), st.booleans())),
)
def test_an_action_is_tried_until_a_failure_is_final_and_no_further(max_attempts: int, outcomes: list[Failure]) -> None:
    rules, attempt_no = AttemptRules(max_attempts), 1
    for failure in outcomes:
        decision = after_failure(attempt_no, failure, rules)
        if isinstance(decision, Finish):
            assert attempt_no == max_attempts or not failure.recoverable
            assert decision.phase is (ActionPhase.TIMED_OUT if failure.timed_out else ActionPhase.FAILED)
            break
        assert decision.attempt_no == attempt_no + 1 <= max_attempts
        assert decision.delay_s >= 0
        attempt_no = decision.attempt_no


def test_without_a_backoff_waits_double_from_half_a_second() -> None:
    waits = [after_failure(n, FAILURE, AttemptRules(9)) for n in (1, 2, 3)]
    assert waits == [Retry(2, 0.5), Retry(3, 1.0), Retry(4, 2.0)]


@given(
    base_s=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    cap_s=st.floats(0, 1e9),
    failed=st.integers(1, 10_000),
)
def test_waits_never_exceed_the_cap_and_never_shrink(base_s: float, factor: float, cap_s: float, failed: int) -> None:
    backoff = Backoff(base_s, factor, cap_s)
    assert 0 <= backoff.delay_s(failed) <= cap_s
    assert backoff.delay_s(failed) <= backoff.delay_s(failed + 1)


def test_nothing_follows_a_terminal_phase_and_every_open_phase_can_end() -> None:
    for phase in ActionPhase:
        if phase.is_terminal:
            assert not SUCCESSORS[phase]
        else:
            assert {ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.ABORTED} <= SUCCESSORS[phase]


def test_only_what_has_not_started_can_be_recovered_from_another_run() -> None:
    assert [phase for phase in ActionPhase if may_follow(phase, ActionPhase.RECOVERED)] == [ActionPhase.QUEUED]
