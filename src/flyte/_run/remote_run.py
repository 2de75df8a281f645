"""Starting a run on a control plane."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest
from flyteidl2.common.identifier_pb2 import RunIdentifier
from flyteidl2.common.run_pb2 import OffloadedInputData
from flyteidl2.dataproxy.dataproxy_service_pb2 import UploadInputsRequest
from flyteidl2.task.common_pb2 import Inputs
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskSpec
from flyteidl2.workflow.run_definition_pb2 import Action
from flyteidl2.workflow.run_definition_pb2 import Run as RunMessage
from flyteidl2.workflow.run_service_pb2 import CreateRunRequest, GetRunDetailsRequest

from flyte._authoring.image_cache import ImageCache
from flyte._authoring.task import TaskTemplate
from flyte._controller.limits import check_inline_size
from flyte._logging import system_logger
from flyte._rpc.failures import ALREADY_EXISTS, UNAVAILABLE, never_arrived
from flyte._rpc.retries import PATIENCE_S, delay_s
from flyte._rpc.sessions import Session
from flyte._rpc.settings import current_session
from flyte._run.options import RunOptions
from flyte._run.remote_code import CodeRequest, PlacedCode, place_code
from flyte._run.remote_images import images_of
from flyte._run.remote_inputs import convert_inputs
from flyte._run.remote_spec import run_spec_of
from flyte._run.run_names import random_run_name
from flyte._serialization import task_spec
from flyte.errors import RunAlreadyExistsError, UnionRpcError
from flyte.models import CodeBundle, SerializationContext
from flyte.remote._clusters import session_for
from flyte.remote._lazy_entity import LazyEntity
from flyte.remote._places import project_id, run_id
from flyte.remote._run import Run
from flyte.remote._task_details import TaskDetails
from flyte.remote._trigger import TriggerDetails

if TYPE_CHECKING:
    from flyte.types._codec import InterfaceCodec


_CLOCKS_DIFFER_S = 300.0
"""So far apart the clocks of this machine and of the control plane's may be."""


@dataclass(frozen=True)
class DryRun:
    """What a run would have been: nothing was sent.

    Attributes:
        task_spec: Of its task.
        inputs: Of its task.
        run_spec: How it would have been run.
        code_bundle: Its code, on this machine.
    """

    task_spec: TaskSpec
    inputs: Inputs
    run_spec: RunSpec
    code_bundle: CodeBundle | None = None
    name: str = "dry-run"


@dataclass(frozen=True, slots=True)
class Target:
    """What is run: one of the fields of `CreateRunRequest` and `UploadInputsRequest`, and its values.

    Attributes:
        task: `task_spec`, `task_id` or `trigger_name`, with its message.
        codec: Of the task.
        code: Where its code is, when it was bundled for this.
        queue: That of the task.
        base: The settings of the run that a trigger starts.
        inputs: Those of a trigger.
    """

    task: dict[str, Any]
    codec: InterfaceCodec
    code: PlacedCode | None = None
    queue: str | None = None
    base: RunSpec = field(default_factory=RunSpec)
    inputs: Inputs | None = None
    max_inline_io_bytes: int | None = None


async def start_run(options: RunOptions, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run | DryRun:
    """The run of a task, a deployed task or a trigger, once the control plane has it.

    Raises:
        RunAlreadyExistsError: there is a run of the name that was asked for.
        TypeError: an input has the wrong type.
        ValueError: an input is missing or unknown.
        UnionRpcError: the control plane does not answer, or refuses it.
    """
    session = current_session()
    target = await target_of(session, options, task)
    if target.inputs is not None and not (args or kwargs):
        inputs = target.inputs
    else:
        interface = target.codec.interface
        named = interface.convert_to_kwargs(*args, **kwargs) if args else kwargs
        convert = partial(target.codec.encode_inputs, named)
        inputs = await convert_inputs(None if options.dry_run else session, convert, options.custom_context)
    if isinstance(task, TaskTemplate):
        check_inline_size(task, "inputs", inputs.ByteSize())
    spec = run_spec_of(options, root=None if target.code is None else target.code.root, queue=target.queue)
    if options.dry_run:
        return DryRun(
            target.task.get("task_spec", TaskSpec()), inputs, spec, None if target.code is None else target.code.bundle
        )
    return await create_run(session, options, target, inputs, spec)


async def create_run(session: Session, options: RunOptions, target: Target, inputs: Inputs, spec: RunSpec) -> Run:
    """The run, once the control plane has it. Made once, also where the connection breaks while it is asked for.

    Raises:
        RunAlreadyExistsError: there is a run of the name that was asked for.
        UnionRpcError: the control plane does not answer, or refuses it.
    """
    # Named here: a request that may have arrived can be told from one that did not.
    identifier = run_id(session, options.name or random_run_name(), options.project, options.domain)
    offloaded = await upload_inputs(session, identifier, target, inputs, options)
    request = CreateRunRequest(run_id=identifier, offloaded_input_data=offloaded, run_spec=spec, **target.task)
    if options.run_start_time is not None:
        request.run_start_time.FromDatetime(options.run_start_time)
    message = await _create(session, request)
    run = Run(message, _preserve_original_types=options.preserve_original_types, _codec=target.codec)
    system_logger.info("run %s: %s", run.name, run.url)
    return run


async def target_of(session: Session, options: RunOptions, task: Any) -> Target:
    """What is run.

    Raises:
        TypeError: it is nothing that can be.
    """
    if isinstance(task, LazyEntity):
        task = await task.fetch.aio()
    if isinstance(task, TaskDetails):
        which = {"task_spec": task.pb2.spec} if task.overridden else {"task_id": task.pb2.task_id}
        return Target(which, task.codec, queue=task.queue)
    if isinstance(task, TriggerDetails):
        return await _trigger_target(task)
    if isinstance(task, TaskTemplate):
        code, _, spec = await spec_of(session, options, task)
        return Target({"task_spec": spec}, task.codec, code, task.queue)
    hint = " Decorate it with `@env.task` first." if callable(task) else ""
    raise TypeError(f"flyte.run takes a task, got {task!r} ({type(task).__name__}).{hint}")


async def spec_of(
    session: Session, options: RunOptions, task: TaskTemplate[Any, Any, Any]
) -> tuple[PlacedCode, ImageCache, TaskSpec]:
    """The code of a task where the control plane finds it, its images, and the message that says how to start it."""
    environment = task.parent_env() if task.parent_env is not None else None
    environments = () if environment is None else (environment,)
    request = CodeRequest(
        environments,
        task,
        copy_style=options.remote_copy_style,
        version=options.version,
        is_pickled=options.interactive_mode,
        copy_to=options.copy_bundle_to,
        is_sent=not options.dry_run,
        trusts_earlier=not options.disable_run_cache,
        project=options.project,
        domain=options.domain,
    )
    images, code = await asyncio.gather(
        images_of(session, environments, bakes_code=options.remote_copy_style == "none", dry_run=options.dry_run),
        place_code(session, request),
    )
    context = SerializationContext(
        version=code.version,
        project=options.project or session.project,
        domain=options.domain or session.domain,
        org=session.org,
        code_bundle=code.bundle,
        image_cache=images,
        root_dir=code.root,
    )
    spec = await asyncio.to_thread(task_spec, task, context, documented=False)
    # All inputs are sent: the defaults are among them.
    del spec.default_inputs[:]
    return code, images, spec


async def _trigger_target(trigger: TriggerDetails) -> Target:
    spec = trigger.pb2.spec
    where = trigger.pb2.id.name
    task = await TaskDetails.fetch(trigger.task_name, where.project, where.domain, version=spec.task_version)
    inputs = spec.inputs if spec.HasField("inputs") else None
    return Target({"trigger_name": where}, task.codec, inputs=inputs)


async def upload_inputs(
    session: Session, identifier: RunIdentifier, target: Target, inputs: Inputs, options: RunOptions
) -> OffloadedInputData:
    """The inputs are where the control plane finds them."""
    place = project_id(session, options.project, options.domain)
    server = await session_for(session, SelectClusterRequest.OPERATION_UPLOAD_INPUTS, project_id=place)
    answer = await server.data.upload_inputs(
        UploadInputsRequest(run_id=identifier, inputs=inputs, base_dir=options.run_base_dir or "", **target.task)
    )
    return answer.offloaded_input_data


async def _create(session: Session, request: CreateRunRequest) -> RunMessage:
    deadline = time.monotonic() + PATIENCE_S
    asked_at_s = time.time()
    name = request.run_id.name
    may_be_there = False
    retry_no = 0
    while True:
        try:
            return (await session.runs.create_run(request)).run
        except UnionRpcError as error:
            if (
                error.code == ALREADY_EXISTS
                and may_be_there
                and (made := await _made_since(session, request.run_id, asked_at_s)) is not None
            ):
                return made
            if error.code == ALREADY_EXISTS:
                raise RunAlreadyExistsError(
                    f"the control plane has a run {name!r} already: choose another name, or leave it out. ({error})"
                ) from error
            may_have_arrived = error.__cause__ is None or not never_arrived(error.__cause__)
            if error.code != UNAVAILABLE or not (may_have_arrived or may_be_there) or time.monotonic() > deadline:
                raise
            may_be_there = True
        await asyncio.sleep(delay_s(retry_no))
        retry_no += 1


async def _made_since(session: Session, identifier: RunIdentifier, asked_at_s: float) -> RunMessage | None:
    """The run that an unanswered request has made; None where one of that name was there long before."""
    details = (await session.runs.get_run_details(GetRunDetailsRequest(run_id=identifier))).details
    action = details.action
    if action.status.HasField("start_time") and action.status.start_time.ToSeconds() < asked_at_s - _CLOCKS_DIFFER_S:
        return None
    return RunMessage(action=Action(id=action.id, metadata=action.metadata, status=action.status))


def with_place(options: RunOptions, project: str, domain: str) -> RunOptions:
    """The options of a run that goes where another one is, unless they name a place."""
    return replace(options, project=options.project or project, domain=options.domain or domain)
