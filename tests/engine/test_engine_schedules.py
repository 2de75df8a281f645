"""A run as the engine's rules alone drive it, through random schedules of calls, failures, cancellations and crashes.

`Store` keeps what is committed, by the rule that the database follows too. `Process` is one life of the process that
executes the run: what it knows and has not committed is gone when it crashes. After every step the invariants hold.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte._engine.attempts import AttemptRules, Failure, Finish, Retry, after_failure
from flyte._engine.lifecycle import may_follow, may_record
from flyte._engine.names import ROOT_ACTION, child_name
from flyte._engine.replay import Reuse, on_recorded
from flyte.models import ActionPhase

LIFE_LIMIT = 50
RULES = AttemptRules(max_attempts=3)
SUCCEEDED, RUNNING, QUEUED, ABORTED = (
    ActionPhase.SUCCEEDED,
    ActionPhase.RUNNING,
    ActionPhase.QUEUED,
    ActionPhase.ABORTED,
)


@dataclass(frozen=True)
class Plan:
    """What a task does: it calls `children` all at once, and fails `failing_tries` times before it succeeds.

    Equal plans are equal calls. A `hopeless` one never succeeds, and its parent goes on without it.
    """

    task: int
    children: tuple[Plan, ...] = ()
    group: str | None = None
    failing_tries: int = 0
    hopeless: bool = False

    @property
    def inputs_hash(self) -> str:
        return sha256(repr(self).encode()).hexdigest()


def plans(depth: int) -> st.SearchStrategy[Plan]:
    children: st.SearchStrategy[tuple[Plan, ...]] = st.just(())
    if depth:
        # Repeated now and then, so that there are equal calls.
        distinct = st.lists(plans(depth - 1), max_size=3)
        children = distinct.flatmap(
            lambda some: st.lists(st.sampled_from(some), max_size=4) if some else st.just([])
        ).map(tuple)
    return st.builds(
        Plan,
        task=st.integers(0, 3),
        children=children,
        group=st.sampled_from([None, "g"]),
        failing_tries=st.integers(0, 2),
        hopeless=st.sampled_from([False, False, False, True]),
    )


# The root is made to succeed: what it is made of need not.
ROOTS = plans(3).map(lambda plan: Plan(9, plan.children, failing_tries=plan.failing_tries))


@dataclass(frozen=True)
class Record:
    phase: ActionPhase
    attempt_no: int
    result: str | None = None


@dataclass
class Store:
    records: dict[str, Record] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)

    def commit(self, name: str, record: Record) -> bool:
        """Whether `record` was taken."""
        before = self.records.get(name)
        if before is not None:
            if not may_record(before.phase, before.attempt_no, record.attempt_no):
                return False
            assert before.phase is not SUCCEEDED
            assert record.attempt_no >= before.attempt_no
            if record.attempt_no == before.attempt_no:
                assert may_follow(before.phase, record.phase)
        self.records[name] = record
        return True


@dataclass
class Action:
    plan: Plan
    name: str
    parent: Action | None
    first_attempt_no: int
    attempt_no: int
    waits_for: int = 0
    results: list[str | None] = field(default_factory=list)
    is_cancelled: bool = False
    is_over: bool = False


class Process:
    """One life: it starts with what is recorded, and executes `plan` as its root."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store = store
        self.recall = dict(store.records)
        self.open: list[Action] = []
        self.unwritten: list[tuple[Action, Record]] = []
        self.plan_of: dict[str, Plan] = {}
        self.all_writes: list[tuple[str, Record]] = []
        self.result: str | None = None
        self.is_over = False
        self._begin(plan, ROOT_ACTION, None)

    def _begin(self, plan: Plan, name: str, parent: Action | None) -> None:
        # One name, one call: whoever has it does the same thing, or they could not take each other's place.
        assert self.plan_of.setdefault(name, plan) == plan
        record = self.recall.get(name)
        attempt_no = 1
        if record is not None:
            decision = on_recorded(record.phase, record.attempt_no)
            if isinstance(decision, Reuse):
                self._tell(parent, record.result)
                return
            assert decision.attempt_no > record.attempt_no
            attempt_no = decision.attempt_no
        action = Action(plan, name, parent, attempt_no, attempt_no)
        self.open.append(action)
        self._attempt(action)

    def _attempt(self, action: Action) -> None:
        recorded = self.store.records.get(action.name)
        assert recorded is None or recorded.phase is not SUCCEEDED, "a recorded success ran again"
        self.store.effects[action.name] += 1
        self._note(action, Record(RUNNING, action.attempt_no))
        action.results, action.waits_for = [], len(action.plan.children)
        counts: dict[str, int] = {}
        named = [
            (child, child_name(action.name, f"e.t{child.task}", child.inputs_hash, child.group, counts))
            for child in action.plan.children
        ]
        assert len({name for _, name in named}) == len(named)
        for child, name in named:
            self._begin(child, name, action)

    def _tell(self, parent: Action | None, result: str | None) -> None:
        if parent is None:
            self.result, self.is_over = result, True
        else:
            parent.waits_for -= 1
            parent.results.append(result)

    def _note(self, action: Action, record: Record) -> None:
        self.recall[action.name] = record
        self.unwritten.append((action, record))
        self.all_writes.append((action.name, record))

    def _ready(self) -> list[Action]:
        return [action for action in self.open if not action.waits_for and not action.is_over]

    def step(self, choice: int) -> None:
        """The body of one action that waits for nothing ends."""
        ready = self._ready()
        if not ready:
            self.commit()
            return
        action = ready[choice % len(ready)]
        failure = self._failure(action)
        if failure is None:
            text = ",".join(sorted(str(result) for result in action.results))
            self._end(action, Record(SUCCEEDED, action.attempt_no, f"{action.plan.task}({text})"))
            return
        decision = after_failure(action.attempt_no, failure, RULES, action.first_attempt_no)
        if isinstance(decision, Retry) and not action.is_cancelled:
            assert decision.attempt_no == action.attempt_no + 1
            self._note(action, Record(ActionPhase.FAILED, action.attempt_no))
            action.attempt_no = decision.attempt_no
            self._note(action, Record(QUEUED, action.attempt_no))
            self._attempt(action)
        else:
            phase = decision.phase if isinstance(decision, Finish) else ABORTED
            self._end(action, Record(ABORTED if action.is_cancelled else phase, action.attempt_no))

    def _failure(self, action: Action) -> Failure | None:
        tries = action.attempt_no - action.first_attempt_no + 1
        if action.is_cancelled or action.plan.hopeless or tries <= action.plan.failing_tries:
            return Failure("E", "user", "", recoverable=not action.is_cancelled)
        return None

    def _end(self, action: Action, record: Record) -> None:
        action.is_over = True
        self._note(action, record)

    def cancel(self, choice: int) -> None:
        """Somebody aborts an action: it and everything above it ends so; nobody catches that."""
        action: Action | None = self.open[choice % len(self.open)] if self.open else None
        while action is not None and not action.is_over:
            action.is_cancelled = True
            action = action.parent

    def commit(self) -> None:
        """Everything noted is committed together, and after that the callers are told."""
        batch, self.unwritten = self.unwritten, []
        for action, record in batch:
            assert self.store.commit(action.name, record)
        over = [action for action in self.open if action.is_over]
        self.open = [action for action in self.open if not action.is_over]
        for action in over:
            self._tell(action.parent, self.store.records[action.name].result)


def undisturbed(plan: Plan) -> tuple[str | None, dict[str, Record]]:
    """The result and the records of a run that nothing happens to."""
    process = Process(Store(), plan)
    while not process.is_over:
        process.step(0)
    return process.result, process.store.records


def is_late(store: Store, name: str, record: Record) -> bool:
    """Whether the store knows of a later attempt, or of the end of this one."""
    recorded = store.records.get(name)
    if recorded is None:
        return False
    return record.attempt_no < recorded.attempt_no + recorded.phase.is_terminal


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["step"] * 12 + ["commit"] * 4 + ["crash", "crash", "cancel", "late"]), st.integers(0, 99)
    ),
    max_size=120,
)


@settings(deadline=None, max_examples=300)
@given(plan=ROOTS, schedule=EVENTS)
def test_whatever_happens_on_the_way_a_resumed_run_ends_as_if_nothing_had(
    plan: Plan, schedule: list[tuple[str, int]]
) -> None:
    result, records = undisturbed(plan)
    assert result is not None
    store = Store()
    process, writes_of_the_dead = Process(store, plan), list[tuple[str, Record]]()
    successes: dict[str, str | None] = {}
    attempts: dict[str, int] = {}
    for event, choice in [*schedule, ("crash", 0)]:
        if event == "crash" or process.is_over:
            writes_of_the_dead += process.all_writes
            process = Process(store, plan)
        elif event == "late":
            # An attempt that was given up goes on unseen, and wants to record how it went.
            writes = [write for write in [*writes_of_the_dead, *process.all_writes] if is_late(store, *write)]
            if writes:
                assert not store.commit(*writes[choice % len(writes)])
        elif event == "cancel":
            process.cancel(choice)
        elif event == "commit":
            process.commit()
        else:
            process.step(choice)
        for name, success in successes.items():
            assert store.records[name] == Record(SUCCEEDED, attempts[name], success)
        for name, record in store.records.items():
            assert record.attempt_no >= attempts.get(name, 1)
            attempts[name] = record.attempt_no
            if record.phase is SUCCEEDED:
                successes[name] = record.result
    for _ in range(LIFE_LIMIT):
        while not process.is_over:
            process.step(0)
        if process.result is not None:
            break
        process = Process(store, plan)
    assert process.result == result
    assert {name: (record.phase, record.result) for name, record in store.records.items()} == {
        name: (record.phase, record.result) for name, record in records.items()
    }


@given(plan=ROOTS)
def test_a_finished_run_is_replayed_without_running_anything(plan: Plan) -> None:
    store = Store()
    process = Process(store, plan)
    while not process.is_over:
        process.step(0)
    effects = store.effects.copy()
    assert Process(store, plan).result == process.result
    assert store.effects == effects


@pytest.mark.parametrize("phase", list(ActionPhase))
def test_a_record_gives_way_to_no_earlier_attempt_and_a_success_to_nothing(phase: ActionPhase) -> None:
    assert not may_record(phase, 2, 1)
    assert may_record(phase, 2, 3) is (phase not in (SUCCEEDED, ActionPhase.RECOVERED))
    assert may_record(phase, 2, 2) is not phase.is_terminal
