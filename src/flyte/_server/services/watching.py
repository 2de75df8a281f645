"""Watching many things at once: what of them has changed since they were last sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyteidl2.common.list_pb2 import Filter
from flyteidl2.workflow import run_definition_pb2 as messages

from flyte._server.services.places import Places
from flyte._server.services.run_listings import ACTIONS, RUNS
from flyte._server.services.run_reads import run_of
from flyte._server.services.views import Viewed, action_message, run_message
from flyte._store.listing import ListedAction, ListedRun, changed_actions, list_actions, list_runs, load_spec
from flyte._store.queries import Query
from flyte._store.reader import StoreReader
from flyte.models import ActionPhase

NEWEST = 100
"""Runs that a watcher is sent at first, beside those that are open."""

_MOST_OPEN = 100_000

_SETTLED = (ActionPhase.SUCCEEDED, ActionPhase.RECOVERED)

AT_ONCE = 500
"""Actions in one message of a watch."""


@dataclass(slots=True)
class ActionsSeen:
    """What a watcher of the actions of a run has been sent. Each question goes on where the one before ended."""

    places: Places
    run_name: str
    filters: Sequence[Filter]
    is_over: bool = False
    _sent: dict[int, messages.EnrichedAction] = field(default_factory=dict)
    _known: dict[int, ListedAction] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)
    _counts: dict[int, Counter[int]] = field(default_factory=dict)

    def changed(self, reader: StoreReader) -> list[messages.EnrichedAction]:
        """The actions that look different from how they were sent, parents of changed ones among them.

        Raises:
            UnknownError: there is no such run.
        """
        with reader.snapshot():
            run = run_of(reader, self.run_name)
            actions = changed_actions(reader, run.run.run_id, self._known, self._open)
            touched = self._take(actions)
            matching = self._matching(reader, run, touched)
            changed = list(self._enriched(reader, run, touched, matching))
        self.is_over = run.run.phase.is_terminal or (run.is_local and run.run.is_interrupted)
        return changed

    def _take(self, actions: Iterable[ListedAction]) -> list[int]:
        touched: dict[int, None] = {}
        for action in actions:
            before = self._known.get(action.action_id)
            self._known[action.action_id] = action
            touched[action.action_id] = None
            if action.phase in _SETTLED:
                self._open.discard(action.action_id)
            else:
                # One that has failed runs again when its parent does.
                self._open.add(action.action_id)
            if action.parent_id is not None and (before is None or before.phase is not action.phase):
                counts = self._counts.setdefault(action.parent_id, Counter())
                counts[action.phase.to_protobuf_value()] += 1
                if before is not None:
                    counts[before.phase.to_protobuf_value()] -= 1
                touched[action.parent_id] = None
        return sorted(each for each in touched if each in self._known)

    def _matching(self, reader: StoreReader, run: ListedRun, touched: list[int]) -> set[int] | None:
        """Those that meet the filters; None where there are none to meet."""
        if not self.filters or not touched:
            return None
        conditions, parameters = ACTIONS.conditions_of(self.filters)
        query = Query(key=ACTIONS.key, sort=ACTIONS.key, conditions=conditions, parameters=parameters, limit=2**31)
        return {each.action_id for each in list_actions(reader, run.run.run_id, query)[0]}

    def _enriched(
        self, reader: StoreReader, run: ListedRun, touched: list[int], matching: set[int] | None
    ) -> Iterable[messages.EnrichedAction]:
        for action_id in touched:
            action = self._known[action_id]
            viewed = Viewed(run, action, load_spec(reader, action.spec_digest))
            counts = {phase: count for phase, count in self._counts.get(action_id, {}).items() if count}
            enriched = messages.EnrichedAction(
                action=action_message(self.places, viewed),
                meets_filter=matching is None or action_id in matching,
                children_phase_counts=counts,
            )
            if self._sent.get(action_id) != enriched:
                self._sent[action_id] = enriched
                yield enriched


@dataclass(slots=True)
class RunsSeen:
    """What a watcher of runs has been sent: the newest and all that were open, then newer ones and what changes."""

    places: Places
    conditions: Sequence[str]
    parameters: Mapping[str, Any]
    _last: int | None = None
    _open: dict[int, messages.Run] = field(default_factory=dict)

    def changed(self, reader: StoreReader) -> list[messages.Run]:
        """The runs that look different from how they were sent, newest first."""
        with reader.snapshot():
            runs = self._newer_or_open(reader)
        changed = []
        for run in runs:
            shown = run_message(self.places, run)
            if self._open.get(run.run.run_id) != shown:
                changed.append(shown)
            if run.run.phase.is_terminal:
                self._open.pop(run.run.run_id, None)
            else:
                self._open[run.run.run_id] = shown
        self._last = max([self._last or 0, *(run.run.run_id for run in runs)])
        return changed

    def _newer_or_open(self, reader: StoreReader) -> list[ListedRun]:
        if self._last is None:
            newest = list_runs(reader, self._query("TRUE", NEWEST))[0]
            known = {run.run.run_id for run in newest}
            opened = list_runs(reader, self._query("run.phase IN (1, 2, 3, 4, 9)", _MOST_OPEN))[0]
            return [*newest, *(run for run in opened if run.run.run_id not in known)]
        which = "run.run_id > :last OR run.run_id IN (SELECT value FROM json_each(:open))"
        more = {"last": self._last, "open": json.dumps(sorted(self._open))}
        return list_runs(reader, self._query(which, _MOST_OPEN, more))[0]

    def _query(self, which: str, limit: int, more: Mapping[str, Any] | None = None) -> Query:
        return Query(
            key=RUNS.key,
            sort=RUNS.key,
            conditions=[*self.conditions, which],
            parameters={**self.parameters, **(more or {})},
            limit=limit,
        )


def in_parts(actions: Sequence[messages.EnrichedAction]) -> list[Sequence[messages.EnrichedAction]]:
    """The actions, so many a message; at least one message, which may be empty."""
    return [actions[start : start + AT_ONCE] for start in range(0, max(1, len(actions)), AT_ONCE)]
