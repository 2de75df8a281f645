"""Where the time of an action goes: its parts measured alone, beside the whole as `programs/wide.py` measures it.

The writer has a thread of its own and works beside the loop, so the commit is not simply a part of the whole: on an
idle second core it costs the loop nothing but the interpreter lock.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _harness import Bench, Figure, bench

from flyte._engine.names import child_name
from flyte._store.records import ActionKind, ActionRecord, action_id
from flyte._store.writer import Writer, record_actions
from flyte.models import ActionPhase, NativeInterface
from flyte.types._codec import InterfaceCodec
from flyte.types._hashing import inputs_hash

ACTIONS = 10_000
ROWS_PER_BATCH = 512
TASK_NAME = "wide.leaf"

codec = InterfaceCodec(NativeInterface.from_types({"x": int}, {"o0": int}), TASK_NAME)
encoded = [codec.encode_inputs({"x": x}) for x in range(ACTIONS)]


def convert() -> None:
    """The caller's value in and the task's value out, both ways, and the two messages in wire form."""
    for x in range(ACTIONS):
        inputs = codec.encode_inputs({"x": x})
        inputs.SerializeToString(deterministic=True)
        outputs = codec.encode_outputs(codec.decode_inputs(inputs)["x"])
        outputs.SerializeToString(deterministic=True)
        codec.decode_outputs(outputs)


def name_actions() -> None:
    """The hash of the inputs, and the name made of it."""
    counts: dict[str, int] = {}
    for inputs in encoded:
        child_name("a0", TASK_NAME, inputs_hash(inputs), None, counts)


def ended_records() -> list[ActionRecord]:
    """Records as the engine holds them when their actions are over."""
    return [
        ActionRecord(
            action_id=action_id(1, x + 1),
            run_id=1,
            name=f"5yy3xn6sbnqlgsgd8rn{x:06}",
            parent_id=action_id(1, 1),
            kind=int(ActionKind.TASK),
            task_name=TASK_NAME,
            group_name=None,
            phase=ActionPhase.SUCCEEDED.to_protobuf_value(),
            attempt_no=1,
            created_us=time.time_ns() // 1000,
            started_us=time.time_ns() // 1000,
            ended_us=time.time_ns() // 1000,
            inputs=encoded[x].SerializeToString(),
            outputs=encoded[x].SerializeToString(),
        )
        for x in range(ACTIONS)
    ]


def commit(writer: Writer, records: list[ActionRecord]) -> None:
    """The records as rows, and the rows committed, in the batches that a busy loop hands over."""
    for first in range(0, ACTIONS, ROWS_PER_BATCH):
        rows = [record.row() for record in records[first : first + ROWS_PER_BATCH]]
        writer.submit(record_actions(rows), lambda _refused, _error: None)
    writer.close()


def schedule() -> None:
    """What `asyncio` alone takes to start so many coroutines as tasks and to wake each once."""

    async def wait_for_a_turn() -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        loop.call_soon(woken.set_result, None)
        await woken

    async def gather() -> None:
        await asyncio.gather(*(wait_for_a_turn() for _ in range(ACTIONS)))

    asyncio.run(gather())


def us_per_action(work: Callable[[], None]) -> float:
    """Microseconds an action that `work` takes, starting with nothing to collect."""
    gc.collect()
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / ACTIONS * 1e6


def parts_us(session: Bench) -> dict[str, float]:
    """Microseconds an action, part by part and as a whole, once."""
    with tempfile.TemporaryDirectory(dir=session.folder) as home:
        writer, records = Writer(Path(home)), ended_records()
        commit_us = us_per_action(lambda: commit(writer, records))
    whole = json.loads(session.output_of(session.ours.python, "wide.py", str(ACTIONS)))
    return {
        "conversion": us_per_action(convert),
        "naming": us_per_action(name_actions),
        "commit": commit_us,
        "scheduling": us_per_action(schedule),
        "whole": whole["gather_us"],
    }


def main() -> None:
    with bench("parts", __doc__ or "", runs=7) as session:
        rounds = [parts_us(session) for _ in range(session.runs)]
        for what, part in (
            ("conversion: four times between values and messages, two messages to bytes", "conversion"),
            ("naming: the hash of the inputs, the name", "naming"),
            ("commit: rows of 512 a batch, on the writer's thread", "commit"),
            ("scheduling: `asyncio` alone", "scheduling"),
            ("the whole action", "whole"),
        ):
            session.figures.append(Figure(what, "µs", [parts[part] for parts in rounds]))
        rest = [
            parts["whole"] - sum(value for part, value in parts.items() if part not in ("whole", "commit"))
            for parts in rounds
        ]
        session.figures.append(Figure("the rest: the engine's rules, contexts, records, and waiting", "µs", rest))


if __name__ == "__main__":
    main()
