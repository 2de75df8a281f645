"""`DataProxyService`: the data of clients on its way in and out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

from flyteidl2.dataproxy.dataproxy_service_pb2 import (
    ArtifactType,
    CreateDownloadLinkRequest,
    CreateDownloadLinkResponse,
    CreateUploadLocationRequest,
    CreateUploadLocationResponse,
    GetActionDataRequest,
    GetActionDataResponse,
    TailLogsRequest,
    TailLogsResponse,
    UploadInputsRequest,
    UploadInputsResponse,
)
from google.protobuf.timestamp_pb2 import Timestamp

from flyte._atomic import write_atomically
from flyte._server.callers import current_caller
from flyte._server.codes import Context
from flyte._server.data_addresses import ANSWER_BYTES, INPUTS_FILE
from flyte._server.downloads import Downloads
from flyte._server.log_tails import AttemptKey, LogTails
from flyte._server.refusals import InvalidRequestError, NotNowError, UnknownError
from flyte._server.services.action_data import load_action_data
from flyte._server.services.artifacts import bundle_uri, report_uri
from flyte._server.services.identifiers import action_names_of, task_key_of
from flyte._server.services.logs import log_line_message
from flyte._server.services.run_reads import inputs_address, outputs_address, viewed_action
from flyte._server.services.store import ServedStore
from flyte._server.uploads import UploadRequest, Uploads
from flyte._store.database import store_errors
from flyte._store.reader import StoreReader
from flyte._store.tasks import TaskKey, find_task
from flyte.types._hashing import inputs_hash


@dataclass(frozen=True, slots=True)
class DataPlane:
    """What the service works with."""

    store: ServedStore
    uploads: Uploads
    downloads: Downloads
    tails: LogTails


class DataProxyService:
    """Takes what clients send, and gives what actions have made."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._store = plane.store

    async def create_upload_location(
        self, request: CreateUploadLocationRequest, ctx: Context
    ) -> CreateUploadLocationResponse:
        """A link to put a file to, and where it is then."""
        upload = self._plane.uploads.link(
            UploadRequest(
                project=request.project,
                domain=request.domain,
                filename=request.filename,
                filename_root=request.filename_root,
                content_md5=request.content_md5,
                content_length=request.content_length,
                expires_in_s=request.expires_in.seconds,
            )
        )
        return CreateUploadLocationResponse(
            signed_url=current_caller().base_url + upload.link,
            native_url=str(upload.path),
            expires_at=Timestamp(seconds=upload.expires_at_s),
        )

    async def upload_inputs(self, request: UploadInputsRequest, ctx: Context) -> UploadInputsResponse:
        """The inputs are in a file. What is sent twice is kept once.

        They are in the home of the server whatever `base_dir` says, which is where runs keep what they make.
        """
        which = request.WhichOneof("id")
        if which is None:
            raise InvalidRequestError("neither run_id nor project_id says which project the inputs are for.")
        project = request.run_id.project if which == "run_id" else request.project_id.name
        domain = request.run_id.domain if which == "run_id" else request.project_id.domain
        data = request.inputs.SerializeToString(deterministic=True)
        path = self._plane.uploads.content_place(project, domain, f"inputs-{sha256(data).hexdigest()}", INPUTS_FILE)

        def write() -> str:
            with store_errors(path):
                try:
                    # It counts as new: what nobody has wanted for long may be deleted.
                    os.utime(path)
                except FileNotFoundError:
                    write_atomically(path, data)
            return inputs_hash(request.inputs)

        response = UploadInputsResponse()
        response.offloaded_input_data.inputs_hash = await asyncio.to_thread(write)
        response.offloaded_input_data.uri = str(path)
        return response

    async def get_action_data(self, request: GetActionDataRequest, ctx: Context) -> GetActionDataResponse:
        """What an action got and gave; no outputs until it has succeeded."""
        run_name, action_name = action_names_of(request.action_id)
        inputs, outputs = await load_action_data(self._store, run_name, action_name)
        viewed = await self._store.read(lambda reader: viewed_action(reader, run_name, action_name))
        response = GetActionDataResponse(inputs_uri=inputs_address(viewed), outputs_uri=outputs_address(viewed))
        size_bytes = inputs.ByteSize() + outputs.ByteSize()
        if size_bytes > ANSWER_BYTES:
            where = " and ".join(each for each in (response.inputs_uri, response.outputs_uri) if each)
            raise NotNowError(
                f"inputs and outputs have {size_bytes} bytes, and an answer up to {ANSWER_BYTES}: read them "
                f"{f'at {where}' if where else 'with `flyte get io` on the machine of the server'}."
            )
        response.inputs.CopyFrom(inputs)
        response.outputs.CopyFrom(outputs)
        return response

    async def create_download_link(
        self, request: CreateDownloadLinkRequest, ctx: Context
    ) -> CreateDownloadLinkResponse:
        """A link to a report, or to the code of an action or of a deployed task."""
        address = await self._store.read(lambda reader: self._artifact(reader, request))
        link, expires_at_s = await asyncio.to_thread(self._plane.downloads.link, address, request.expires_in.seconds)
        response = CreateDownloadLinkResponse()
        response.pre_signed_urls.signed_url.append(current_caller().base_url + link)
        response.pre_signed_urls.expires_at.seconds = expires_at_s
        return response

    async def tail_logs(self, request: TailLogsRequest, ctx: Context) -> AsyncIterator[TailLogsResponse]:
        """The lines of an attempt until it has ended."""
        if request.pod_name or request.connector_endpoint:
            raise NotNowError("attempts are processes of the server's machine: there is no pod and no connector.")
        key = AttemptKey(*action_names_of(request.action_id), request.attempt)
        async with aclosing(self._plane.tails.tail(key)) as batches:
            async for lines in batches:
                logs = [TailLogsResponse.Logs(lines=map(log_line_message, lines))] if lines else []
                yield TailLogsResponse(logs=logs)

    def _artifact(self, reader: StoreReader, request: CreateDownloadLinkRequest) -> str:
        source, kind = request.WhichOneof("source"), request.artifact_type
        if kind not in (ArtifactType.ARTIFACT_TYPE_REPORT, ArtifactType.ARTIFACT_TYPE_CODE_BUNDLE):
            raise InvalidRequestError(f"artifact_type is {kind}: there are 1, report, and 2, code bundle.")
        is_report = kind == ArtifactType.ARTIFACT_TYPE_REPORT
        if source == "action_attempt_id":
            attempt = request.action_attempt_id
            viewed = viewed_action(reader, *action_names_of(attempt.action_id, "action_attempt_id.action_id"))
            if is_report:
                return report_uri(reader.home, viewed, attempt.attempt)
            return bundle_uri(viewed.spec, f"action {viewed.action.name!r} of run {viewed.run.run.name!r}")
        if source == "task_id" and not is_report:
            found = find_task(reader, TaskKey(*task_key_of(request.task_id)))
            if found is None:
                raise UnknownError(f"there is no task {request.task_id.name!r} of version {request.task_id.version!r}.")
            return bundle_uri(found[1], f"task {request.task_id.name!r}")
        wanted = "action_attempt_id" if is_report else "action_attempt_id or task_id"
        raise InvalidRequestError(f"{wanted} is missing: it says what the link is to.")
