"""The context of a running task, and the one outside any task."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flyte.models import (
    NULL_TASK_CONTEXT,
    ActionID,
    CheckpointPaths,
    GroupData,
    RawDataPath,
    TaskContext,
    is_clustered_worker_env,
)

INTEGERS = {
    "rank": "RANK",
    "local_rank": "LOCAL_RANK",
    "world_size": "WORLD_SIZE",
    "local_world_size": "LOCAL_WORLD_SIZE",
    "node_rank": "NODE_RANK",
    "nnodes": "NNODES",
    "master_port": "MASTER_PORT",
    "restart_attempt": "JOBSET_RESTART_ATTEMPT",
}


def context(**fields: Any) -> TaskContext:
    required: dict[str, Any] = {
        "action": ActionID(name="a0", run_name="r"),
        "version": "v",
        "raw_data_path": RawDataPath(path="/raw"),
        "output_path": "/out",
        "run_base_dir": "/run",
        "report": None,
    }
    return TaskContext(**{**required, **fields})


def test_missing_fields_are_named() -> None:
    with pytest.raises(TypeError, match=r"'action', 'version', 'raw_data_path', 'output_path', .*'report'"):
        TaskContext()  # type: ignore[call-arg]


def test_fields_that_are_not_given_have_their_defaults() -> None:
    before = datetime.now(UTC)
    ctx = context()
    assert (ctx.group_data, ctx.checkpoint_paths, ctx.code_bundle, ctx.compiled_image_cache) == (None,) * 4
    assert (ctx.data, ctx.custom_context, ctx.mode, ctx.input_path) == ({}, {}, "remote", None)
    assert {ctx.interactive_mode, ctx.disable_run_cache, ctx.in_driver_literal_conversion} == {False}
    assert ctx.run_start_time is not None
    assert before <= ctx.run_start_time <= datetime.now(UTC)
    assert ctx.task_action is ctx.action


def test_two_contexts_do_not_share_their_dictionaries() -> None:
    one, other = context(), context()
    one.data["x"] = one.custom_context["x"] = "1"
    assert (other.data, other.custom_context) == ({}, {})


def test_replace_without_changes_is_an_equal_copy() -> None:
    ctx = context(data={"a": 1}, group_data=GroupData("g"))
    copy = ctx.replace()
    assert copy == ctx
    assert copy is not ctx
    assert copy.data is ctx.data


def test_replace_changes_only_what_is_given() -> None:
    ctx = context(data={"a": 1}, _attempt_number=3)
    copy = ctx.replace(version="w")
    assert (copy.version, copy.data, copy.attempt_number) == ("w", {"a": 1}, 3)
    assert ctx.version == "v"


@pytest.mark.parametrize(
    ("old", "given", "new"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, None, {"a": 1}),
        (None, {"b": 2}, {"b": 2}),
    ],
)
def test_replace_merges_data(old: dict[str, int] | None, given: dict[str, int] | None, new: dict[str, int]) -> None:
    ctx = context(data=old)
    kept = None if old is None else dict(old)
    copy = ctx.replace(data=given, version="w")
    assert (copy.data, copy.version) == (new, "w")
    assert ctx.data == kept
    assert copy.data is not ctx.data or given is None


def test_replace_refuses_an_unknown_field_with_its_name() -> None:
    with pytest.raises(TypeError, match="colour"):
        context().replace(colour="red")


def test_replace_with_another_action_counts_calls_from_the_start() -> None:
    ctx = context()
    assert ctx._call_counter.next("t") == 1
    same = ctx.replace(action=ActionID(name="a0", run_name="r"))
    other = ctx.replace(action=ActionID(name="a1", run_name="r"))
    assert same._call_counter is ctx._call_counter
    assert other._call_counter.next("t") == 1
    assert other.task_action == ctx.action


def test_key_that_is_not_there_is_none() -> None:
    ctx = context(data={"a": 1})
    assert ctx["a"] == 1
    assert ctx["b"] is None


def test_membership_looks_into_data_and_ends() -> None:
    ctx = context(data={"a": 1})
    assert "a" in ctx
    assert "b" not in ctx


def test_context_cannot_be_iterated() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        iter(context())  # type: ignore[call-overload]


def test_context_without_data_has_no_keys() -> None:
    ctx = context(data=None)
    with pytest.raises(AttributeError):
        ctx["a"]
    assert "a" not in ctx


def test_context_has_no_hash_and_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(context())
    with pytest.raises(dataclasses.FrozenInstanceError):
        context().version = "w"  # type: ignore[misc]


def test_repr_shows_what_differs_from_the_defaults() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert repr(context(run_start_time=start, mode="local", _attempt_number=2)) == (
        "TaskContext(ActionID('a0', run_name='r'), 'v', RawDataPath('/raw'), '/out', '/run', None, data={}, "
        "mode='local', custom_context={}, run_start_time=datetime.datetime(2026, 1, 1, 0, 0, "
        "tzinfo=datetime.timezone.utc), task_action=ActionID('a0', run_name='r'), _call_counter=CallCounter({}))"
    )


def test_attempt_and_calls_do_not_count_in_comparisons() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    one, other = context(run_start_time=start, _attempt_number=1), context(run_start_time=start)
    one._call_counter.next("t")
    assert one == other


@pytest.mark.parametrize(("mode", "expected"), [("remote", True), ("local", False), ("hybrid", False)])
def test_only_remote_mode_is_in_the_cluster(mode: str, expected: bool) -> None:
    assert context(mode=mode).is_in_cluster() is expected


def test_attempt_number_is_the_engines_or_else_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYTE_ATTEMPT_NUMBER", raising=False)
    assert context().attempt_number == 0
    monkeypatch.setenv("FLYTE_ATTEMPT_NUMBER", "4")
    assert context().attempt_number == 4
    assert context(_attempt_number=1).attempt_number == 1


@pytest.mark.parametrize(("name", "variable"), INTEGERS.items())
def test_launcher_variables_are_integers_or_none(name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    assert getattr(context(), name) is None
    monkeypatch.setenv(variable, "3")
    assert getattr(context(), name) == getattr(NULL_TASK_CONTEXT, name) == 3
    monkeypatch.setenv(variable, "three")
    with pytest.raises(ValueError, match=f"{variable} is 'three', expected an integer"):
        getattr(context(), name)


def test_master_address_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert context().master_addr is None
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    assert context().master_addr == "10.0.0.1"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, False),
        ({"FLYTE_CLUSTERED_WORKER": ""}, False),
        ({"FLYTE_CLUSTERED_WORKER": "1"}, True),
        ({"TORCHELASTIC_RUN_ID": "x"}, True),
        ({"RANK": "0"}, False),
    ],
)
def test_clustered_worker_is_told_by_two_variables(env: dict[str, str], expected: bool) -> None:
    assert is_clustered_worker_env(env) is expected


PATHS = CheckpointPaths("/prev", "/now")


def test_checkpoints_is_another_name_of_checkpoint_paths() -> None:
    assert context(checkpoints=PATHS).checkpoint_paths == PATHS
    assert context(checkpoint_paths=PATHS).checkpoints == PATHS
    assert context().replace(checkpoints=PATHS).checkpoint_paths == PATHS


def test_two_different_values_for_the_two_names_are_refused() -> None:
    with pytest.raises(ValueError, match="two names of one field"):
        context(checkpoints=PATHS, checkpoint_paths=CheckpointPaths("/a", "/b"))
    assert context(checkpoints=PATHS, checkpoint_paths=PATHS).checkpoints == PATHS


@pytest.mark.parametrize("paths", [None, CheckpointPaths("/prev", None), CheckpointPaths("/prev", " ")])
def test_without_a_place_there_is_no_checkpoint(paths: CheckpointPaths | None) -> None:
    assert context(checkpoint_paths=paths).checkpoint is None


def test_checkpoint_is_one_object_for_all_copies() -> None:
    ctx = context(checkpoint_paths=PATHS)
    checkpoint = ctx.checkpoint
    assert checkpoint is not None
    assert checkpoint is ctx.checkpoint is ctx.replace(version="w").checkpoint
    assert (checkpoint.remote_destination, checkpoint.remote_source) == ("/now", "/prev")
    assert ctx["__flyte_sync_checkpoint__"] is checkpoint


def test_copy_with_other_paths_has_another_checkpoint() -> None:
    ctx = context(checkpoint_paths=PATHS)
    assert ctx.checkpoint is not None
    other = ctx.replace(checkpoint_paths=CheckpointPaths(None, "/later"))
    assert other.checkpoint is not None
    assert (other.checkpoint.remote_destination, other.checkpoint.remote_source) == ("/later", None)


def test_after_a_restart_the_attempt_loads_what_it_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSET_RESTART_ATTEMPT", "1")
    checkpoint = context(checkpoint_paths=PATHS).checkpoint
    assert checkpoint is not None
    assert checkpoint.remote_source == "/now"


def test_null_context_is_false_and_empty() -> None:
    assert not NULL_TASK_CONTEXT
    assert isinstance(NULL_TASK_CONTEXT, TaskContext)
    assert repr(NULL_TASK_CONTEXT) == "NullTaskContext()"
    assert {getattr(NULL_TASK_CONTEXT, each.name) for each in dataclasses.fields(TaskContext)} == {None}
    assert NULL_TASK_CONTEXT.checkpoints is None
    assert NULL_TASK_CONTEXT.checkpoint is None
    assert "x" not in NULL_TASK_CONTEXT
    assert not NULL_TASK_CONTEXT.is_in_cluster()


@pytest.mark.parametrize(
    ("use", "error"),
    [(lambda: NULL_TASK_CONTEXT["x"], AttributeError), (lambda: NULL_TASK_CONTEXT.replace(version="v"), TypeError)],
)
def test_null_context_has_nothing_to_read_or_copy(use: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        use()


def test_null_context_stays_one_object_through_a_pickle() -> None:
    assert pickle.loads(pickle.dumps(NULL_TASK_CONTEXT)) is NULL_TASK_CONTEXT


def test_context_survives_a_pickle(tmp_path: Path) -> None:
    ctx = context(data={"a": 1}, checkpoint_paths=CheckpointPaths(None, str(tmp_path / "c")), _attempt_number=2)
    assert ctx.checkpoint is not None
    copy = pickle.loads(pickle.dumps(ctx.replace(data={})))
    assert (copy.action, copy.attempt_number, copy.checkpoints) == (ctx.action, 2, ctx.checkpoints)
