"""Questions to people: asked and answered through the store, by processes that know nothing of one another."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flyte._store.database import DATABASE_FILE, connect
from flyte._store.records import to_datetime
from flyte._store.statements import statement
from flyte._store.writer import Change
from flyte.errors import StoreError
from flyte.models import ActionPhase

POLL_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Question:
    """What a condition asks.

    Attributes:
        prompt_type: `text` or `markdown`.
        data_type: Name of the Python type of the answer: `bool`, `int`, `float` or `str`.
        timeout_s: How long it may stay open; None for ever.
    """

    name: str
    prompt: str
    prompt_type: str
    data_type: str
    description: str
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class OpenCondition:
    """Where a condition stands that its task asks, maybe once more.

    Attributes:
        expires_us: When it times out; None for never.
        answer: JSON of what somebody answered while the task did not run.
    """

    expires_us: int | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class StoredCondition:
    """A condition as read back; `answer` is JSON."""

    action_id: int
    action_name: str
    name: str
    prompt: str
    prompt_type: str
    data_type: str
    description: str
    phase: ActionPhase
    created_at: datetime
    expires_at: datetime | None
    answer: str | None
    answered_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it can be answered."""
        return self.phase is ActionPhase.PAUSED and self.answer is None

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> StoredCondition:
        """The condition in a row of `list_conditions`."""
        created_at = to_datetime(row["created_us"])
        assert created_at is not None
        return cls(
            action_id=row["action_id"],
            action_name=row["action_name"],
            name=row["name"],
            prompt=row["prompt"],
            prompt_type=row["prompt_type"],
            data_type=row["data_type"],
            description=row["description"],
            phase=ActionPhase.from_protobuf(row["phase"]),
            created_at=created_at,
            expires_at=to_datetime(row["expires_us"]),
            answer=row["answer"],
            answered_at=to_datetime(row["answered_us"]),
        )


def open_condition(action_id: int, question: Question, *, goes_on: bool) -> Change:
    """A change that asks; its result is the `OpenCondition`.

    With `goes_on`, one that was left open keeps its time limit, and its answer if it has one by now.
    """

    def change(connection: sqlite3.Connection) -> OpenCondition:
        limit_us = None if question.timeout_s is None else _now_us() + round(question.timeout_s * 1_000_000)
        row = (action_id, question.name, question.prompt, question.prompt_type, question.data_type)
        connection.execute(statement("open_condition"), (*row, question.description, limit_us, not goes_on))
        return _state(connection, action_id)

    return change


def condition_state(action_id: int) -> Change:
    """A change that changes nothing; its result is the `OpenCondition`, after which no answer that it lacks counts.

    That holds once the condition has expired.
    """
    return lambda connection: _state(connection, action_id)


def answer_condition(action_id: int, answer: str) -> Change:
    """A change that answers with JSON; its result tells whether the condition was still open."""

    def change(connection: sqlite3.Connection) -> bool:
        # The clock is read with the database locked, so an answer is either in time and seen, or refused.
        parameters = {"action_id": action_id, "answer": answer, "now_us": _now_us()}
        return connection.execute(statement("answer_condition"), parameters).rowcount == 1

    return change


def _state(connection: sqlite3.Connection, action_id: int) -> OpenCondition:
    return OpenCondition(*connection.execute(statement("condition_state"), (action_id,)).fetchone())


def _now_us() -> int:
    return time.time_ns() // 1000


class AnswerWatch:
    """Looks five times a second for answers to the conditions it was given. Its thread lives while there are any."""

    def __init__(self, home: Path) -> None:
        self._path = home / DATABASE_FILE
        self._changed = threading.Condition()
        self._listeners: dict[int, Callable[[str], None]] = {}
        self._thread: threading.Thread | None = None

    def listen(self, action_id: int, heard: Callable[[str], None]) -> None:
        """`heard` is called once, on the watch's thread, with the JSON of the answer, unless `let_go` is quicker."""
        with self._changed:
            self._listeners[action_id] = heard
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="flyte-answer-watch", daemon=True)
                self._thread.start()

    def let_go(self, action_id: int) -> None:
        """Nobody waits for that answer any more."""
        with self._changed:
            self._listeners.pop(action_id, None)
            self._changed.notify_all()

    def _watch(self) -> None:
        connection: sqlite3.Connection | None = None
        seen: object = None
        try:
            while True:
                with self._changed:
                    if not self._listeners:
                        self._thread = None
                        return
                    asked = sorted(self._listeners)
                # Whatever keeps the store from being read, the run's own writes tell; a watch that failed looks again.
                with suppress(sqlite3.Error, StoreError):
                    connection = connection or connect(self._path, read_only=True)
                    # It changes when any other connection commits, and costs no look into the file.
                    version = connection.execute("PRAGMA data_version").fetchone()[0]
                    if (version, asked) != seen:
                        self._hear(connection.execute(statement("answers"), (json.dumps(asked),)).fetchall())
                        seen = (version, asked)
                with self._changed:
                    self._changed.wait_for(lambda: not self._listeners, POLL_EVERY_S)
        finally:
            if connection is not None:
                connection.close()

    def _hear(self, answers: list[tuple[int, str]]) -> None:
        for action_id, answer in answers:
            with self._changed:
                heard = self._listeners.pop(action_id, None)
            if heard is not None:
                heard(answer)
