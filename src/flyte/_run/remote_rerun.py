"""A new run on a control plane with the task and inputs of an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl2.common.run_pb2 import RELATION_TYPE_RECOVER, RELATION_TYPE_RERUN, Relation
from flyteidl2.task.common_pb2 import Inputs
from flyteidl2.task.run_pb2 import Recover, RunSpec

from flyte._engine.names import ROOT_ACTION
from flyte._rpc.failures import NOT_FOUND
from flyte._rpc.settings import current_session
from flyte._run.options import RunOptions
from flyte._run.remote_inputs import convert_inputs
from flyte._run.remote_run import Target, create_run, with_place
from flyte._run.remote_spec import run_spec_of
from flyte.errors import RuntimeUserError, UnionRpcError
from flyte.remote._action_details import ActionDetails
from flyte.remote._run import Run, RunDetails
from flyte.types import guess_interface
from flyte.types._codec import InterfaceCodec

if TYPE_CHECKING:
    from flyte._rpc.sessions import Session
    from flyte._run.rerunning import Wish


async def rerun_served(options: RunOptions, wish: Wish) -> Run:
    """The new run, once the control plane has it.

    Raises:
        RunNotFoundError: there is no such run.
        ActionNotFoundError: it has no such action.
        RuntimeUserError: code `NotATask`; the action is a trace or a condition.
        ValueError: an input is unknown.
    """
    session = current_session()
    if wish.allow_missing_source_outputs:
        raise ValueError(
            "allow_missing_source_outputs is for local runs: a control plane takes over the outputs that it has, and "
            "runs the actions of the others again."
        )
    if options.dry_run:
        raise ValueError("dry_run: a rerun sends what the control plane has already; leave it out.")
    source = await RunDetails.get.aio(wish.run_name)
    details = source.action_details
    if wish.action_name != ROOT_ACTION:
        details = await ActionDetails.get.aio(run_name=wish.run_name, name=wish.action_name)
    if not details.pb2.HasField("task"):
        raise RuntimeUserError("NotATask", f"action {wish.action_name!r} is no task, and cannot run alone.")
    task = details.pb2.task
    options = with_place(options, details.action_id.run.project, details.action_id.run.domain)
    interface = guess_interface(task.task_template.interface, task.default_inputs)
    codec = InterfaceCodec(interface, task.task_template.id.name)
    recorded = await _inputs(details, wish)
    changed = await _changed(session, codec, wish, recorded)
    context = {each.key: each.value for each in recorded.context} | dict(options.custom_context)
    del changed.context[:]
    for key, text in context.items():
        changed.context.add(key=key, value=text)
    target = Target({"task_spec": task}, codec)
    spec = _spec(run_spec_of(options), source.pb2.run_spec, options)
    spec.relation.CopyFrom(
        Relation(
            related_to=details.action_id.run,
            relation_type=RELATION_TYPE_RECOVER if wish.recover else RELATION_TYPE_RERUN,
        )
    )
    if wish.recover:
        spec.recover.CopyFrom(Recover(force_rerun_actions=wish.force_rerun_actions))
    return await create_run(session, options, target, changed, spec)


async def _inputs(details: ActionDetails, wish: Wish) -> Inputs:
    try:
        return (await details._data()).inputs
    except UnionRpcError as error:
        if error.code == NOT_FOUND:
            raise RuntimeUserError(
                "InputsGone", f"the inputs of action {wish.action_name!r} of run {wish.run_name!r} are gone: {error}"
            ) from error
        raise


async def _changed(session: Session, codec: InterfaceCodec, wish: Wish, recorded: Inputs) -> Inputs:
    """The recorded inputs, those that were given here replaced; the others stay as they were, byte for byte."""
    if not wish.inputs:
        copy = Inputs()
        copy.CopyFrom(recorded)
        return copy
    unknown = [name for name in wish.inputs if name not in codec.interface.inputs]
    if unknown:
        known = ", ".join(codec.interface.inputs) or "none"
        raise ValueError(f"task {codec.task_name!r} has no input {unknown[0]!r}; it has {known}.")
    kept = {each.name: each for each in recorded.literals}
    given = await convert_inputs(session, lambda: codec.encode_given(wish.inputs), {})
    merged = Inputs()
    fresh = {each.name: each for each in given.literals}
    for name in codec.interface.inputs:
        each = fresh.get(name) or kept.get(name)
        if each is not None:
            merged.literals.append(each)
    return merged


def _spec(asked: RunSpec, earlier: RunSpec, options: RunOptions) -> RunSpec:
    """What was asked for; where nothing was, as the earlier run had it."""
    spec = RunSpec()
    spec.CopyFrom(asked)
    if not options.queue:
        spec.queue = earlier.queue
    if not options.labels:
        spec.labels.CopyFrom(earlier.labels)
    if not options.annotations:
        spec.annotations.CopyFrom(earlier.annotations)
    if options.interruptible is None and earlier.HasField("interruptible"):
        spec.interruptible.CopyFrom(earlier.interruptible)
    if not options.max_action_concurrency:
        spec.max_action_concurrency = earlier.max_action_concurrency
    named = {each.key for each in spec.envs.values}
    own = {"LOG_LEVEL", "LOG_FORMAT", "USER_LOG_LEVEL"}
    spec.envs.values.extend(each for each in earlier.envs.values if each.key not in named | own)
    return spec
