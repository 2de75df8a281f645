"""`DataProxyService`: the data of clients on its way in and out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

from flyteidl2.common.identifier_pb2 import ActionIdentifier
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
from flyte._server.action_data import ActionReader
from flyte._server.callers import current_caller
from flyte._server.codes import Context
from flyte._server.downloads import Downloads
from flyte._server.log_tails import AttemptKey, LogTails
from flyte._server.readers import StoreReaders
from flyte._server.refusals import InvalidRequestError, NotNowError
from flyte._server.services.logs import log_line_message
from flyte._server.uploads import UploadRequest, Uploads
from flyte._store.database import store_errors
from flyte._store.reader import StoreReader
from flyte.types._hashing import inputs_hash

INPUTS_FILE = "inputs.pb"


@dataclass(frozen=True, slots=True)
class DataPlane:
    """What the service works with."""

    readers: StoreReaders
    uploads: Uploads
    downloads: Downloads
    tails: LogTails


class DataProxyService:
    """Takes what clients send, and gives what actions have made."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

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
                if not path.is_file():
                    write_atomically(path, data)
            return inputs_hash(request.inputs)

        response = UploadInputsResponse()
        response.offloaded_input_data.inputs_hash = await asyncio.to_thread(write)
        response.offloaded_input_data.uri = str(path)
        return response

    async def get_action_data(self, request: GetActionDataRequest, ctx: Context) -> GetActionDataResponse:
        """What an action got and gave."""
        data = await self._plane.readers.read(lambda reader: _action(reader, request.action_id).data())
        return GetActionDataResponse(
            inputs=data.inputs, outputs=data.outputs, inputs_uri=data.inputs_uri, outputs_uri=data.outputs_uri
        )

    async def create_download_link(
        self, request: CreateDownloadLinkRequest, ctx: Context
    ) -> CreateDownloadLinkResponse:
        """A link to a report, or to the code of an action."""
        if request.WhichOneof("source") != "action_attempt_id":
            raise InvalidRequestError("action_attempt_id is missing: links are to what an attempt has run or made.")
        attempt = request.action_attempt_id
        if request.artifact_type == ArtifactType.ARTIFACT_TYPE_REPORT:
            address = await self._plane.readers.read(
                lambda reader: _action(reader, attempt.action_id).report_uri(attempt.attempt)
            )
        elif request.artifact_type == ArtifactType.ARTIFACT_TYPE_CODE_BUNDLE:
            address = await self._plane.readers.read(lambda reader: _action(reader, attempt.action_id).bundle_uri())
        else:
            raise InvalidRequestError(f"artifact_type is {request.artifact_type}: there are 1, report, and 2, code.")
        link, expires_at_s = await asyncio.to_thread(self._plane.downloads.link, address, request.expires_in.seconds)
        response = CreateDownloadLinkResponse()
        response.pre_signed_urls.signed_url.append(current_caller().base_url + link)
        response.pre_signed_urls.expires_at.seconds = expires_at_s
        return response

    async def tail_logs(self, request: TailLogsRequest, ctx: Context) -> AsyncIterator[TailLogsResponse]:
        """The lines of an attempt until it has ended."""
        if request.pod_name or request.connector_endpoint:
            raise NotNowError("attempts are processes of the server's machine: there is no pod and no connector.")
        action = request.action_id
        key = AttemptKey(action.run.name, action.name, request.attempt)
        async with aclosing(self._plane.tails.tail(key)) as batches:
            async for lines in batches:
                logs = [TailLogsResponse.Logs(lines=map(log_line_message, lines))] if lines else []
                yield TailLogsResponse(logs=logs)


def _action(reader: StoreReader, action: ActionIdentifier) -> ActionReader:
    return ActionReader(reader, action.run.name, action.name)
