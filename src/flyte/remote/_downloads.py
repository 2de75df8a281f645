"""Reports and code of actions, by links that the control plane signs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest
from flyteidl2.common.identifier_pb2 import ActionAttemptIdentifier, ActionIdentifier
from flyteidl2.dataproxy.dataproxy_service_pb2 import (
    ARTIFACT_TYPE_CODE_BUNDLE,
    ARTIFACT_TYPE_REPORT,
    CreateDownloadLinkRequest,
)

from flyte._rpc.failures import INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED
from flyte._rpc.settings import current_session
from flyte.errors import CodeBundleError, DataNotFoundError, UnionRpcError
from flyte.models import CodeBundle


async def load_report(action_id: ActionIdentifier, attempt: int) -> str:
    """The report of an attempt, as HTML.

    Raises:
        DataNotFoundError: it has none.
    """
    session = current_session()
    attempt_id = ActionAttemptIdentifier(action_id=action_id, attempt=max(attempt, 1))
    server = await session_for_link(attempt_id)
    try:
        answer = await server.data.create_download_link(
            CreateDownloadLinkRequest(artifact_type=ARTIFACT_TYPE_REPORT, action_attempt_id=attempt_id)
        )
        (url, *_) = answer.pre_signed_urls.signed_url
    except UnionRpcError as error:
        if error.code == NOT_FOUND:
            raise _no_report(action_id, attempt) from error
        raise
    except ValueError as error:
        raise _no_report(action_id, attempt) from error
    got = await session.http.get(url)
    if got.status == 404:
        raise _no_report(action_id, attempt)
    if got.status != 200:
        raise UnionRpcError("DownloadFailed", f"the report at {url.partition('?')[0]} was answered with {got.status}.")
    return bytes(got.content).decode()


async def session_for_link(attempt_id: ActionAttemptIdentifier) -> Any:
    """The session with the server that signs links for an attempt."""
    from flyte.remote._clusters import session_for

    operation = SelectClusterRequest.OPERATION_CREATE_DOWNLOAD_LINK
    return await session_for(current_session(), operation, action_attempt_id=attempt_id)


def _no_report(action_id: ActionIdentifier, attempt: int) -> DataNotFoundError:
    where = f"{action_id.run.name}/{action_id.name}"
    return DataNotFoundError(
        where, f"attempt {attempt} of action {where} has no report: only tasks with report=True that write one have."
    )


async def load_code(
    bundle: CodeBundle | None, attempt_id: ActionAttemptIdentifier, dest: str | Path | None, *, extract: bool
) -> Path:
    """The code of an action is in a folder here; the folder, or the file that is left packed.

    Args:
        bundle: Where the code is.
        attempt_id: The attempt that ran it.
        dest: The folder, absent or empty; default one named after the version below the working directory.
        extract: Unpack it.

    Raises:
        CodeBundleError: it has no code, or the code is damaged.
        StorageError: it cannot be read.
    """
    from flyte._bundle.fetching import save_code

    if bundle is None:
        where = f"{attempt_id.action_id.run.name}/{attempt_id.action_id.name}"
        raise CodeBundleError(f"action {where} has no code bundle: its image holds the code.")
    folder = Path(dest) if dest is not None else Path.cwd() / f"code-{bundle.computed_version[:12]}"
    with TemporaryDirectory(prefix="flyte-tmp-") as scratch:
        here = await _fetched(bundle, attempt_id, Path(scratch))
        return await asyncio.to_thread(save_code, here, folder, is_unpacked=extract, is_version_digest=False)


async def _fetched(bundle: CodeBundle, attempt_id: ActionAttemptIdentifier, scratch: Path) -> CodeBundle:
    """The bundle in a folder here, by a signed link; as it is where there are none, to be read from its address."""
    server = await session_for_link(attempt_id)
    request = CreateDownloadLinkRequest(artifact_type=ARTIFACT_TYPE_CODE_BUNDLE, action_attempt_id=attempt_id)
    try:
        answer = await server.data.create_download_link(request)
    except UnionRpcError as error:
        if error.code in (NOT_FOUND, UNIMPLEMENTED, INVALID_ARGUMENT):
            return bundle
        raise
    for url in answer.pre_signed_urls.signed_url:
        got = await server.http.get(url)
        if got.status == 200:
            path = scratch / str(bundle.tgz or bundle.pkl).rstrip("/").rpartition("/")[2]
            await asyncio.to_thread(path.write_bytes, bytes(got.content))
            return replace(bundle, tgz=str(path)) if bundle.tgz is not None else replace(bundle, pkl=str(path))
    return bundle
