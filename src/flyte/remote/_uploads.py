"""Files and folders of this machine in the storage of the control plane."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Tuple
from uuid import uuid4

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest
from flyteidl2.dataproxy.dataproxy_service_pb2 import CreateUploadLocationRequest
from google.protobuf.duration_pb2 import Duration

from flyte._rpc.retries import delay_s
from flyte._rpc.sessions import Session
from flyte._rpc.settings import current_session
from flyte.errors import DataNotFoundError, UnionRpcError, WrongKindOfDataError
from flyte.remote._clusters import session_for
from flyte.remote._places import project_id
from flyte.syncify import syncify

EXPIRES_IN_VARIABLE = "FLYTE_UPLOAD_EXPIRES_IN"
TIMEOUT_VARIABLE = "FLYTE_UPLOAD_TIMEOUT"
_EXPIRES_IN_S = 900
_TIMEOUT_S = 600.0
_RETRIES = 3
_AT_ONCE = 8
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to upload.

    Attributes:
        path: The file here.
        name: Its name there; below a root it may be a relative path.
        root: The folder there that it lies in; None leaves the place to the control plane.
        content_type: What it is.
    """

    path: Path
    name: str
    root: str | None = None
    content_type: str | None = None


@syncify
async def upload_file(
    fp: Path, verify: bool = True, fname: str | None = None, content_type: str | None = None
) -> Tuple[str, str]:
    """Upload a file.

    Args:
        fp: The file.
        verify: True; the MD5 of what arrives is always held against that of the file.
        fname: Its name there; default the one it has.
        content_type: What it is, as HTTP says it.

    Returns:
        The MD5 of the file in hex, and its address.

    Raises:
        DataNotFoundError: there is no such file.
        WrongKindOfDataError: it is a folder.
        UnionRpcError: the control plane does not take it.
    """
    del verify
    path = Path(fp)
    if not path.exists():
        raise DataNotFoundError(str(path), f"there is no file {path} to upload.")
    if path.is_dir():
        raise WrongKindOfDataError(str(path), f"{path} is a folder: use upload_dir.")
    return await send_file(current_session(), Upload(path, fname or path.name, content_type=content_type))


@syncify
async def upload_dir(dir_path: Path, verify: bool = True, prefix: str | None = None) -> str:
    """Upload all files in a folder and below it.

    Args:
        dir_path: The folder.
        verify: As of `upload_file`.
        prefix: The folder there; default a fresh one.

    Returns:
        Its address.

    Raises:
        DataNotFoundError: there is no such folder, or no file in it.
        WrongKindOfDataError: it is a file.
        UnionRpcError: the control plane does not take it.
    """
    del verify
    folder = Path(dir_path)
    if not folder.exists():
        raise DataNotFoundError(str(folder), f"there is no folder {folder} to upload.")
    if not folder.is_dir():
        raise WrongKindOfDataError(str(folder), f"{folder} is a file: use upload_file.")
    addresses = await send_folder(current_session(), folder, prefix or uuid4().hex)
    if not addresses:
        raise DataNotFoundError(str(folder), f"there is no file in {folder}: an empty folder has no address.")
    return folder_address(addresses, prefix)


def folder_address(addresses: Mapping[str, str], prefix: str | None = None) -> str:
    """The address of the folder of files whose addresses are these, by relative path."""
    relative, address = next(iter(addresses.items()))
    return address.removesuffix(relative).rstrip("/")


async def send_folder(session: Session, folder: Path, root: str) -> dict[str, str]:
    """All files of a folder are uploaded; their addresses by relative path."""
    files = await asyncio.to_thread(lambda: sorted(path for path in folder.rglob("*") if path.is_file()))
    places = asyncio.Semaphore(_AT_ONCE)

    async def send(path: Path) -> tuple[str, str]:
        relative = path.relative_to(folder).as_posix()
        async with places:
            _, address = await send_file(session, Upload(path, relative, root))
        return relative, address

    return dict(await asyncio.gather(*map(send, files)))


async def send_file(
    session: Session, upload: Upload, project: str | None = None, domain: str | None = None
) -> tuple[str, str]:
    """The file is uploaded, whole; its MD5 in hex and its address.

    Raises:
        UnionRpcError: the control plane, or the storage behind it, does not take it.
    """
    content = await asyncio.to_thread(upload.path.read_bytes)
    digest = hashlib.md5(content, usedforsecurity=False)
    place = project_id(session, project, domain)
    server = await session_for(session, SelectClusterRequest.OPERATION_CREATE_UPLOAD_LOCATION, project_id=place)
    answer = await server.data.create_upload_location(
        CreateUploadLocationRequest(
            project=place.name,
            domain=place.domain,
            org=place.organization,
            filename=upload.name,
            filename_root=upload.root or "",
            expires_in=Duration(seconds=int(float(os.environ.get(EXPIRES_IN_VARIABLE) or _EXPIRES_IN_S))),
            content_md5=digest.digest(),
            add_content_md5_metadata=True,
        )
    )
    headers = dict(answer.headers) | {
        "content-length": str(len(content)),
        "content-md5": base64.b64encode(digest.digest()).decode(),
    }
    if upload.content_type is not None:
        headers["content-type"] = upload.content_type
    await _put(server, answer.signed_url, headers, content, upload.path)
    return digest.hexdigest(), answer.native_url


async def _put(session: Session, url: str, headers: Mapping[str, str], content: bytes, path: Path) -> None:
    timeout_s = float(os.environ.get(TIMEOUT_VARIABLE) or _TIMEOUT_S)
    why = ""
    for retry_no in range(_RETRIES + 1):
        if retry_no:
            await asyncio.sleep(delay_s(retry_no - 1))
        try:
            answer = await asyncio.wait_for(session.http.put(url, headers=headers, content=content), timeout_s)
        except TimeoutError:
            why = f"it takes longer than {timeout_s:.0f} s ({TIMEOUT_VARIABLE})"
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        else:
            if answer.status in (200, 201, 204):
                return
            why = f"the answer was {answer.status} {bytes(answer.content)[:200].decode(errors='replace')}".rstrip()
            if answer.status not in _AGAIN:
                break
    raise UnionRpcError("UploadFailed", f"{path} cannot be uploaded to {url.partition('?')[0]}: {why}.")
