"""A run whose root task runs in this process, and what that calls on the control plane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flyteidl2.dataproxy.dataproxy_service_pb2 import GetActionDataResponse
from flyteidl2.task.common_pb2 import Inputs, OutputReferences, Outputs
from flyteidl2.workflow import tracked_run_service_pb2 as service
from flyteidl2.workflow.run_definition_pb2 import ActionEvent, ErrorInfo
from google.rpc.code_pb2 import Code  # type: ignore[import-untyped]

from flyte._authoring.task import TaskTemplate
from flyte._context import ActionScope, enter_scope, leave_scope
from flyte._controller.failures import failure_of
from flyte._controller.hooks import run_with_hooks
from flyte._controller.limits import check_inline_size
from flyte._controller.remote import Place, RemoteAttempt, RemoteController
from flyte._controller.remote.files import INPUTS_FILE, OUTPUTS_FILE, write
from flyte._engine.attempts import Failure
from flyte._engine.names import ROOT_ACTION
from flyte._rpc.retries import patient
from flyte._rpc.sessions import Session
from flyte._rpc.settings import current_session
from flyte._run.options import RunOptions
from flyte._run.remote_inputs import convert_inputs
from flyte._run.remote_run import Target, spec_of, upload_inputs
from flyte._run.remote_spec import run_spec_of
from flyte._run.run_names import random_run_name
from flyte.errors import RuntimeUserError, UnionRpcError
from flyte.models import ActionID, ActionPhase, RawDataPath, TaskContext
from flyte.remote._places import run_id
from flyte.remote._run import Run
from flyte.report import Report
from flyte.report._files import write_report
from flyte.storage._addresses import join


async def run_hybrid(options: RunOptions, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
    """The run, once its root task has ended here and the control plane knows of it.

    Raises:
        TypeError: it is no task whose code is here, or an input has the wrong type.
        ValueError: no `run_base_dir` is given, which this process and the control plane both reach.
        BaseRuntimeError: the root task failed.
    """
    if not isinstance(task, TaskTemplate):
        raise TypeError(f"a hybrid run has its root task in this process, and {task!r} is none that has its code here.")
    if not options.run_base_dir:
        raise ValueError(
            "mode='hybrid' needs run_base_dir=..., a folder or prefix that this process and those of the control plane "
            "can both read and write: calls are handed over there."
        )
    session = current_session()
    root = await _Root.create(session, options, task, args, kwargs)
    return await root.carry_out()


class _Root:
    """The root action of a run, on its way through this process."""

    def __init__(
        self, session: Session, task: TaskTemplate[Any, Any, Any], run: Run, inputs: Inputs, place: Place
    ) -> None:
        self._session = session
        self._task = task
        self._run = run
        self._inputs = inputs
        self._place = place
        self._folder = join(place.run_base_dir, ROOT_ACTION, "1")
        self._report = Report(ROOT_ACTION)

    @classmethod
    async def create(
        cls,
        session: Session,
        options: RunOptions,
        task: TaskTemplate[Any, Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _Root:
        """The control plane has the run, and leaves its root to this process."""
        options = replace(options, name=options.name or random_run_name())
        code, images, spec = await spec_of(session, options, task)
        named = task.interface.convert_to_kwargs(*args, **kwargs) if args else kwargs
        inputs = await convert_inputs(session, partial(task.codec.encode_inputs, named), options.custom_context)
        check_inline_size(task, "inputs", inputs.ByteSize())
        identifier = run_id(session, str(options.name), options.project, options.domain)
        target = Target({"task_spec": spec}, task.codec, code, task.queue)
        request = service.CreateTrackedRunRequest(
            run_id=identifier,
            task_spec=spec,
            offloaded_input_data=await upload_inputs(session, identifier, target, inputs, options),
            run_spec=run_spec_of(options, root=code.root, queue=task.queue),
        )
        message = (await session.tracked_runs.create_run(request)).run
        where = message.action.id.run
        action = ActionID(
            name=ROOT_ACTION, run_name=where.name, project=where.project, domain=where.domain, org=where.org
        )
        assert code.root is not None
        place = Place(action, str(options.run_base_dir), code.version, code.bundle, code.root, images)
        await write(join(place.run_base_dir, ROOT_ACTION, INPUTS_FILE), inputs.SerializeToString(deterministic=True))
        return cls(session, task, Run(message, _codec=task.codec), inputs, place)

    async def carry_out(self) -> Run:
        """The root task has run; what came of it is known to the control plane."""
        await self._report_phase(ActionPhase.RUNNING)
        controller = RemoteController(self._session.settings)
        attempt = RemoteAttempt(task=self._task, report=self._report, place=self._place)
        try:
            outputs = await self._body(controller, attempt)
            await self._save_report()
            await write(join(self._folder, OUTPUTS_FILE), outputs.SerializeToString(deterministic=True))
        except asyncio.CancelledError:
            with suppress(UnionRpcError):
                await asyncio.shield(self._report_phase(ActionPhase.ABORTED))
            raise
        except Exception as error:
            failure = failure_of(error)
            await self._save_report()
            await self._report_phase(ActionPhase.FAILED, failure)
            raise
        finally:
            await asyncio.to_thread(controller.end_blocking, attempt)
            await asyncio.to_thread(controller.close)
        await self._report_phase(ActionPhase.SUCCEEDED)
        details = (await self._run.details.aio()).action_details
        # What went through here need not be asked for.
        details._action_data = GetActionDataResponse(inputs=self._inputs, outputs=outputs)
        return self._run

    async def _body(self, controller: RemoteController, attempt: RemoteAttempt) -> Outputs:
        scope = ActionScope(
            action_name=ROOT_ACTION,
            controller=controller,
            make_context=self._context,
            custom_context={pair.key: pair.value for pair in self._inputs.context},
            attempt=attempt,
        )
        kwargs = await asyncio.to_thread(self._task.codec.decode_inputs, self._inputs)
        token = enter_scope(scope)
        try:
            value = await run_with_hooks(self._task, kwargs)
            outputs: Outputs = await asyncio.to_thread(self._task.codec.encode_outputs, value)
        finally:
            leave_scope(token)
        check_inline_size(self._task, "outputs", outputs.ByteSize())
        return outputs

    def _context(self, scope: ActionScope) -> TaskContext:
        action = self._place.action
        is_trace = scope.action_name != action.name
        return TaskContext(
            action=action.new_sub_action(scope.action_name) if is_trace else action,
            version=self._place.version,
            raw_data_path=RawDataPath(path=join(self._place.run_base_dir, "raw_data")),
            output_path=self._folder,
            run_base_dir=self._place.run_base_dir,
            report=scope.attempt.report,
            group_data=scope.group,
            code_bundle=self._place.code,
            compiled_image_cache=self._place.image_cache,
            mode="hybrid",
            custom_context=dict(scope.custom_context),
            run_start_time=datetime.now(UTC),
            task_action=action if is_trace else None,
        )

    async def _save_report(self) -> None:
        if self._task.report:
            await asyncio.to_thread(write_report, self._report, self._folder)

    async def _report_phase(self, phase: ActionPhase, failure: Failure | None = None) -> None:
        event = ActionEvent(id=self._run.pb2.action.id, attempt=1, phase=phase.to_protobuf_value())
        event.updated_time.GetCurrentTime()
        if phase is ActionPhase.SUCCEEDED:
            event.outputs.CopyFrom(OutputReferences(output_uri=join(self._folder, OUTPUTS_FILE)))
        if failure is not None:
            kind = ErrorInfo.KIND_USER if failure.kind == "user" else ErrorInfo.KIND_SYSTEM
            event.error_info.CopyFrom(ErrorInfo(code=failure.code, message=failure.message, kind=kind))
        request = service.ReportTrackedActionsRequest(
            run_id=self._run.pb2.action.id.run, updates=[service.TrackedActionUpdate(event=event)]
        )
        await _until_heard(lambda: self._session.tracked_runs.report_actions(request))


async def _until_heard(report: Callable[[], Awaitable[service.ReportTrackedActionsResponse]]) -> None:
    """The report is recorded. Telling the same phase twice is telling it once.

    Raises:
        UnionRpcError: nobody answers for a minute.
        RuntimeUserError: code `RunIsOver`; the control plane takes no more reports of this run.
    """
    with patient():
        answer = await report()
    for status in answer.statuses:
        if status.code != Code.OK:
            raise RuntimeUserError(
                "RunIsOver", f"the control plane does not take the report of the run: {status.message}"
            )
