"""Calls of tasks under a control plane."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from connectrpc.code import Code
from flyteidl2.actions.actions_service_pb2 import Action
from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument, ExecutionError
from flyteidl2.task.common_pb2 import Inputs

import flyte
from flyte._context import current_scope
from flyte._controller.remote import RemoteController
from flyte._controller.remote.link import IN_FLIGHT
from flyte._engine.cache_keys import cache_key
from flyte.errors import (
    ActionAbortedError,
    InlineIOMaxBytesBreached,
    MaxRuntimeExceededError,
    RunAbortedError,
    RuntimeSystemError,
    RuntimeUserError,
    TaskTimeoutError,
)
from flyte.types._hashing import inputs_hash
from tests.controller.remote.conftest import answered, attempt
from tests.controller.remote.peer import End, Listening
from tests.controller.remote.programs import double, half, kept, narrow, nothing


def far(server: Listening, end: End) -> None:
    """That comes of each call."""
    server.peer.script = lambda action, inputs: end


async def test_a_call_is_enqueued_with_all_that_it_needs(
    controller: RemoteController, server: Listening, tmp_path: Path
) -> None:
    with flyte.group("pairs"), flyte.custom_context(who="me"):
        assert await double(x=21) == 42
    (action,) = server.peer.enqueued
    name = action.action_id.name
    assert (action.action_id.run.name, action.action_id.run.org, action.parent_action_name) == ("r", "o", "a0")
    assert (action.group, action.run_output_base) == ("pairs", str(tmp_path))
    assert action.input_uri == str(tmp_path / name / "inputs.pb")
    assert (action.task.id.name, action.task.id.version) == ("far.double", "v1")
    assert action.task.spec.task_template.container.args[0] == "a0"
    assert not action.task.HasField("cache_key")
    inputs = Inputs.FromString(Path(action.input_uri).read_bytes())
    assert [(pair.key, pair.value) for pair in inputs.context] == [("who", "me")]
    assert len(inputs.literals) == 1
    assert server.peer.headers[0]["x-actions-parent-action"] == "a0"
    assert server.peer.headers[0]["authorization"] == "Bearer secret"


async def test_equal_calls_have_names_of_their_own_that_another_attempt_gets_too(
    server: Listening, tmp_path: Path
) -> None:
    names = []
    for _ in range(2):
        with attempt(server, tmp_path):
            server.peer.enqueued.clear()
            await asyncio.gather(double(x=1), double(x=1), double(x=2))
            names.append({action.action_id.name for action in server.peer.enqueued})
    assert len(names[0]) == 3
    # What had ended was told before the second attempt asked for anything.
    assert names[1] == set()


async def test_the_key_for_the_cache_leaves_ignored_inputs_out(controller: RemoteController, server: Listening) -> None:
    await asyncio.gather(kept(x=1, note="a"), kept(x=1, note="b"))
    keys = {action.task.cache_key.value for action in server.peer.enqueued}
    digest = inputs_hash(kept.codec.encode_inputs({"x": 1}), ("note",))
    assert keys == {cache_key(digest, "far.kept", kept.codec.interface_hash, "v7")}


async def test_a_sync_task_and_one_without_outputs_can_be_called(
    controller: RemoteController, server: Listening
) -> None:
    assert await half.aio(x=3) == 1.5
    assert await nothing(x=1) is None  # type: ignore[func-returns-value]


def test_plain_code_calls_tasks(controller: RemoteController) -> None:
    assert half(x=5) == 2.5
    assert list(flyte.map(half, [1, 2, 3])) == [0.5, 1.0, 1.5]


async def test_a_map_of_async_tasks(controller: RemoteController) -> None:
    assert [each async for each in flyte.map.aio(double, range(5))] == [0, 2, 4, 6, 8]


async def test_the_other_family_of_services_takes_the_same_calls(server: Listening, tmp_path: Path) -> None:
    with attempt(server, tmp_path, uses_actions=False) as controller:
        assert await double(x=2) == 4
        with pytest.raises(RuntimeSystemError, match="no conditions"):
            await flyte.new_condition.aio("ok")
        assert not controller.uses_actions


def test_neither_thread_nor_connection_is_there_before_the_first_call(server: Listening, tmp_path: Path) -> None:
    before = threading.active_count()
    with attempt(server, tmp_path):
        assert threading.active_count() == before
    assert server.peer.watches == 0


async def test_a_call_of_an_attempt_that_is_over_is_refused(controller: RemoteController) -> None:
    scope = current_scope()
    assert scope is not None
    scope.attempt.is_over = True
    with pytest.raises(ActionAbortedError, match="which is over"):
        await double(x=1)


@pytest.mark.parametrize(
    ("end", "expected", "code"),
    [
        (
            End(
                phase=PhaseMessage.ACTION_PHASE_FAILED,
                error=ExecutionError(code="ValueError", message="no", kind=ExecutionError.USER),
            ),
            RuntimeUserError,
            "ValueError",
        ),
        (
            End(
                phase=PhaseMessage.ACTION_PHASE_FAILED,
                error=ExecutionError(code="Lost", message="no", kind=ExecutionError.SYSTEM),
            ),
            RuntimeSystemError,
            "Lost",
        ),
        (
            End(
                phase=PhaseMessage.ACTION_PHASE_TIMED_OUT,
                error=ExecutionError(code="MAX_RUNTIME_EXCEEDED", message="no", kind=ExecutionError.USER),
            ),
            MaxRuntimeExceededError,
            "MaxRuntimeExceededError",
        ),
        (End(phase=PhaseMessage.ACTION_PHASE_TIMED_OUT), TaskTimeoutError, "TaskTimeoutError"),
        (End(phase=PhaseMessage.ACTION_PHASE_ABORTED), ActionAbortedError, "ActionAbortedError"),
        (End(phase=PhaseMessage.ACTION_PHASE_FAILED), RuntimeSystemError, "UnknownFailure"),
    ],
)
async def test_an_action_that_did_not_succeed_is_raised_as_a_local_run_raises_it(
    controller: RemoteController, server: Listening, end: End, expected: type[Exception], code: str
) -> None:
    far(server, end)
    with pytest.raises(expected) as raised:
        await double(x=1)
    assert type(raised.value) is expected
    assert getattr(raised.value, "code") == code


async def test_a_failure_that_nobody_explains_is_read_from_its_file(
    controller: RemoteController, server: Listening, tmp_path: Path
) -> None:
    def fail(action: Action, inputs: Inputs) -> End:
        folder = tmp_path / action.action_id.name / "1"
        folder.mkdir()
        error = ContainerError(code="KeyError", message="why", origin=ExecutionError.USER)
        (folder / "error.pb").write_bytes(ErrorDocument(error=error).SerializeToString())
        return End(phase=PhaseMessage.ACTION_PHASE_FAILED)

    server.peer.script = fail
    with pytest.raises(RuntimeUserError, match="why") as raised:
        await double(x=1)
    assert (raised.value.code, raised.value.worker) == ("KeyError", "user")


async def test_inputs_and_outputs_have_the_bound_of_the_task(controller: RemoteController, server: Listening) -> None:
    with pytest.raises(InlineIOMaxBytesBreached, match="inputs"):
        await narrow(text="x" * 200)
    assert server.peer.enqueued == []
    with pytest.raises(InlineIOMaxBytesBreached, match="outputs"):
        await narrow(text="x" * 60)


async def test_a_call_that_is_cancelled_aborts_its_action(controller: RemoteController, server: Listening) -> None:
    server.peer.script = lambda action, inputs: None
    call = asyncio.ensure_future(double(x=1))
    while not server.peer.enqueued:
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert server.peer.aborted == [server.peer.enqueued[0].action_id.name]


async def test_what_an_attempt_leaves_going_on_is_aborted(server: Listening, tmp_path: Path) -> None:
    server.peer.script = lambda action, inputs: None
    with attempt(server, tmp_path) as controller:
        scope = current_scope()
        assert scope is not None
        futures = [controller.start(scope, double, (x,), {}) for x in range(3)]
        while len(server.peer.enqueued) < 3:
            await asyncio.sleep(0.01)
    assert len(server.peer.aborted) == 3
    assert all(future.cancelled() for future in futures)


async def test_many_calls_are_bounded_in_flight(controller: RemoteController, server: Listening) -> None:
    server.peer.faults.delay_s = 0.02
    numbers = range(IN_FLIGHT * 3)
    assert await asyncio.gather(*(double(x=x) for x in numbers)) == [2 * x for x in numbers]
    assert 1 < server.peer.in_flight <= IN_FLIGHT


@pytest.mark.parametrize(
    "code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNKNOWN]
)
async def test_a_request_that_may_pass_is_made_again(
    controller: RemoteController, server: Listening, code: Code
) -> None:
    server.peer.faults.enqueue = [code]
    assert await double(x=2) == 4
    assert len(server.peer.enqueued) == 2


async def test_a_request_whose_answer_was_lost_counts_once(controller: RemoteController, server: Listening) -> None:
    server.peer.faults.enqueue = [Code.ALREADY_EXISTS]
    server.peer.faults.is_enqueued = True
    assert await double(x=2) == 4
    assert len(server.peer.enqueued) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.ABORTED, RunAbortedError),
        (Code.INVALID_ARGUMENT, RuntimeSystemError),
        (Code.NOT_FOUND, RuntimeSystemError),
    ],
)
async def test_a_request_that_is_refused_for_good_fails_the_call(
    controller: RemoteController, server: Listening, code: Code, expected: type[Exception]
) -> None:
    server.peer.faults.enqueue = [code]
    with pytest.raises(expected, match="so the test says"):
        await double(x=2)
    assert len(server.peer.enqueued) == 1


async def test_a_stream_that_is_cut_goes_on(controller: RemoteController, server: Listening) -> None:
    server.peer.faults.cut_after = [1, 3, 0, 4, 2]
    for x in range(5):
        assert await double(x=x) == 2 * x
    assert server.peer.watches > 1


async def test_a_stream_that_is_refused_for_good_fails_the_call(
    controller: RemoteController, server: Listening
) -> None:
    server.peer.faults.watch = [Code.NOT_FOUND]
    with pytest.raises(RuntimeSystemError, match="so the test says"):
        await double(x=2)


async def test_a_control_plane_that_is_started_again_costs_little(
    controller: RemoteController, server: Listening
) -> None:
    server.peer.script = lambda action, inputs: answered(action, inputs) if len(server.peer.enqueued) > 5 else None
    waiting = asyncio.gather(*(double(x=x) for x in range(5)))
    while len(server.peer.enqueued) < 5:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.stop)
    late = asyncio.ensure_future(double(x=5))
    await asyncio.sleep(0.3)
    for action in server.peer.enqueued[:5]:
        inputs = Inputs.FromString(Path(action.input_uri).read_bytes())
        end = answered(action, inputs)
        assert end is not None
        server.peer.state("a0", action.action_id.name, end)
    await asyncio.to_thread(server.start)
    assert await asyncio.wait_for(waiting, 10) == [0, 2, 4, 6, 8]
    assert await asyncio.wait_for(late, 10) == 10


async def test_nothing_is_enqueued_before_all_that_is_known_was_told(
    controller: RemoteController, server: Listening
) -> None:
    server.peer.faults.no_sentinel = True
    call = asyncio.ensure_future(double(x=1))
    while not server.peer.watches:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert server.peer.enqueued == []
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_was_forked_after_a_call_is_refused_further_ones(controller: RemoteController) -> None:
    assert half(x=1) == 0.5
    child = os.fork()
    if child == 0:
        try:
            half(x=2)
        except RuntimeSystemError as error:
            os._exit(0 if error.code == "ForkedProcess" else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert half(x=4) == 2.0
