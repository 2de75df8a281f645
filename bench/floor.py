"""The floor: what an action costs when nothing is done but to encode an int, name the action and commit its row.

None of our code runs here. One action is one row, written once, with the value it took and the value it gave; the rows
of `GROUP` actions share a transaction. The difference to `fanout.py` is what an engine adds.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from _harness import Bench, Figure, bench
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar

ACTIONS = 10_000
GROUP = 1_000
T = TypeVar("T")
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def encode(value: int) -> bytes:
    """The wire form of an int literal."""
    wire: bytes = Literal(scalar=Scalar(primitive=Primitive(integer=value))).SerializeToString()
    return wire


def name(parent: str, task: str, literal: bytes, call_no: int) -> str:
    """The action's name, from its parent, its task, its inputs and the number of the call."""
    inputs_hash = hashlib.sha256(b"x:" + literal + b";").hexdigest()
    digest = hashlib.md5(f"{parent}-{inputs_hash}-{task}-{call_no}".encode()).digest()
    number, digits = int.from_bytes(digest), []
    while number:
        number, digit = divmod(number, 36)
        digits.append(BASE36[digit])
    return "".join(reversed(digits))


def commit(folder: Path, rows: list[tuple[str, bytes, bytes]]) -> None:
    """Write the rows, `GROUP` of them a transaction, as durable as ours are."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        database = sqlite3.connect(Path(temporary) / "floor.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(
            "CREATE TABLE action (name TEXT PRIMARY KEY, phase INTEGER, inputs BLOB, outputs BLOB) WITHOUT ROWID"
        )
        for first in range(0, len(rows), GROUP):
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO action VALUES (?, 5, ?, ?)", rows[first : first + GROUP])
            database.execute("COMMIT")
        database.close()


def floor_us(session: Bench) -> dict[str, float]:
    """Microseconds an action, part by part, once."""
    encoding, literals = timed_us(lambda: [(encode(i), encode(i)) for i in range(ACTIONS)])
    naming, names = timed_us(
        lambda: [name("a0", "wide.leaf", taken, call_no) for call_no, (taken, _) in enumerate(literals)]
    )
    rows = [(action, taken, given) for action, (taken, given) in zip(names, literals, strict=True)]
    committing, _ = timed_us(lambda: commit(session.folder, rows))
    return {"encode": encoding, "name": naming, "commit": committing, "all": encoding + naming + committing}


def timed_us(work: Callable[[], T]) -> tuple[float, T]:
    """Microseconds an action that `work` took, and what it returned."""
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) / ACTIONS * 1e6, result


def main() -> None:
    with bench("floor", __doc__ or "", runs=15) as session:
        rounds = [floor_us(session) for _ in range(session.runs)]
        session.figures += [
            Figure("encode an int, in and out", "µs", [parts["encode"] for parts in rounds]),
            Figure("name the action", "µs", [parts["name"] for parts in rounds]),
            Figure("commit its row, 1,000 a transaction", "µs", [parts["commit"] for parts in rounds]),
            Figure("the floor, per action", "µs", [parts["all"] for parts in rounds]),
        ]


if __name__ == "__main__":
    main()
