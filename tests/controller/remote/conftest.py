"""An attempt in this process whose calls go to a peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flyteidl2.actions.actions_service_pb2 import Action
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.common_pb2 import Inputs

from flyte._context import ActionScope, current_scope, enter_scope, leave_scope
from flyte._controller.remote import Place, RemoteAttempt, RemoteController
from flyte._rpc.endpoints import Endpoint
from flyte._rpc.settings import SessionSettings
from flyte.models import ActionID, RawDataPath, TaskContext
from flyte.report import Report
from tests.controller.remote import programs
from tests.controller.remote.peer import End, Listening, listening

Attempting = Callable[..., "RemoteController"]


def answered(action: Action, inputs: Inputs) -> End | None:
    """What comes of the tasks of `programs`; conditions stay open."""
    if not action.HasField("task"):
        return None
    task = action.task.id.name.partition(".")[2]
    x: Literal = inputs.literals[0].value
    number = x.scalar.primitive.integer
    match task:
        case "double":
            return End(programs.double.codec.encode_outputs(2 * number))
        case "half":
            return End(programs.half.codec.encode_outputs(number / 2))
        case "kept":
            return End(programs.kept.codec.encode_outputs(number))
        case "narrow":
            return End(programs.narrow.codec.encode_outputs(x.scalar.primitive.string_value * 9))
    return End()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Listening]:
    """A peer that answers as `answered` does."""
    programs.calls.clear()
    with listening(tmp_path, answered) as server:
        yield server


@contextmanager
def attempt(server: Listening, folder: Path, *, uses_actions: bool = True) -> Iterator[RemoteController]:
    """Within the block this is an attempt of action `a0`; afterwards it is over."""
    settings = SessionSettings(endpoint=Endpoint(server.address, insecure=True), token="secret")
    controller = RemoteController(settings, uses_actions=uses_actions)
    action = ActionID(name="a0", run_name="r", project="p", domain="d", org="o")
    place = Place(action, str(folder), "v1", None, Path(__file__).parents[3])
    running = RemoteAttempt(task=programs.top, report=Report("a0"), place=place)
    context = TaskContext(
        action=action,
        version="v1",
        raw_data_path=RawDataPath(path=str(folder)),
        output_path="",
        run_base_dir=str(folder),
        report=running.report,
    )
    token = enter_scope(
        ActionScope(action_name="a0", controller=controller, make_context=lambda scope: context, attempt=running)
    )
    try:
        yield controller
    finally:
        leave_scope(token)
        controller.end_blocking(running)
        controller.close()


@pytest.fixture
def controller(server: Listening, tmp_path: Path) -> Iterator[RemoteController]:
    """This test is an attempt under the peer."""
    with attempt(server, tmp_path) as controller:
        assert current_scope() is not None
        yield controller
