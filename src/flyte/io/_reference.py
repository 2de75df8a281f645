"""What files and folders have in common: a path that is recorded, and data that may not be there yet."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any, ClassVar, Dict, Optional, Union

from pydantic import BaseModel, ConfigDict, PrivateAttr, SerializationInfo, model_serializer, model_validator
from pydantic_core.core_schema import ValidationInfo
from typing_extensions import Self

from flyte.errors import NotInTaskContextError
from flyte.storage._addresses import absolute, base_name, below, checked_relative, is_remote, join, rewritten
from flyte.storage._backend import Kind, Stored, backend_of
from flyte.storage._digests import is_digest
from flyte.storage._failures import not_found, wrong_kind
from flyte.storage._flushing import wait_until_flushed

EMPTY_DIR = "::flyte-empty-dir::"
"""The path of a folder without files, which object stores cannot hold."""

_RECORDED = re.compile(r"(?P<digest>blake3:[0-9a-f]{64}):(?P<name>.*)", re.DOTALL)


class Reference(BaseModel):
    """A file or folder at an address.

    Attributes:
        path: Its address: a local path or a URL.
        name: Its last part, unless another was given.
        format: What it holds, for whoever wants to know; free text.
        hash: Stands for the content in cache keys and names of actions. `blake3:...` is the content hash, computed
            when data is stored and checked when it is read; any other text is the user's own.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    path: str
    name: Optional[str] = None
    format: str = ""
    hash: Optional[str] = None

    kind: ClassVar[Kind]
    """What is to be at the path."""

    _upload: Optional[Callable[[], tuple[str, Stored]]] = PrivateAttr(default=None)
    """Puts local data where tasks find it, and says where that is; None when it is there."""

    stores_data: ClassVar[bool] = True
    """Converting one may upload data: not to be done on an event loop."""

    @model_validator(mode="before")
    @classmethod
    def pre_init(cls, data: Any) -> Any:
        """Fills in the name from the path."""
        if isinstance(data, dict) and data.get("name") is None and isinstance(data.get("path"), str):
            path = data["path"]
            return {**data, "name": "" if path == EMPTY_DIR else base_name(path) or None}
        return data

    @model_validator(mode="after")
    def _move(self, info: ValidationInfo) -> Self:
        if info.context and info.context.get("deserialize"):
            self.path = rewritten(self.path)
        return self

    @model_serializer(mode="plain")
    def _to_plain(self, info: SerializationInfo) -> Dict[str, Optional[str]]:
        self.settle()
        return {"path": self.path, "name": self.name, "format": self.format, "hash": self.hash}

    def __reduce__(self) -> tuple[Any, ...]:
        # Not what pydantic keeps beside the fields, sets among it: of equal references the pickles are to be equal.
        self.settle()
        return _restored, (type(self), {name: getattr(self, name) for name in type(self).model_fields})

    @property
    def lazy_uploader(self) -> Callable[[], Coroutine[Any, Any, tuple[str | None, str]]] | None:
        """What uploads the local data of one that was made outside a task, and gives hash and path; else None."""
        if self._upload is None:
            return None

        async def upload() -> tuple[str | None, str]:
            await asyncio.to_thread(self.settle)
            return self.hash, self.path

        return upload

    def settle(self) -> None:
        """The data is where the path says, on the disk; uploaded now, if a task is running here and it was not yet."""
        from flyte._context import current_scope

        # Another thread may be uploading it for another run.
        upload = self._upload
        if upload is not None and current_scope() is not None:
            self._take(upload)
        if self.path != EMPTY_DIR:
            wait_until_flushed(self.path)

    def recorded_path(self) -> str:
        """The path as any process finds it."""
        return self.path if self.path == EMPTY_DIR else absolute(self.path)

    def recorded_hash(self) -> str | None:
        """The hash as it stands in records: a content hash with the name, which a task may also depend on."""
        return f"{self.hash}:{self.name or ''}" if is_digest(self.hash) else self.hash

    @classmethod
    def of_record(cls, path: str, format: str, recorded_hash: str) -> Self:
        """The reference that was recorded so."""
        match = _RECORDED.fullmatch(recorded_hash)
        reference = cls(path=rewritten(path), format=format, hash=match["digest"] if match else recorded_hash or None)
        if match:
            reference.name = match["name"]
        return reference

    def exists_sync(self) -> bool:
        """Whether it is at the path, and of its kind."""
        found = backend_of(self.path).find(self.path)
        return found is not None and found.kind == self.kind

    async def exists(self) -> bool:
        """As `exists_sync`, awaitable."""
        found: bool = await awaitable(self.exists_sync)
        return found

    def _store(self, upload: Callable[[], tuple[str, Stored]], *, now: bool) -> None:
        """The local data at the path is uploaded: now, or when a run gets it."""
        if now:
            self._take(upload)
            self.name = "" if self.path == EMPTY_DIR else base_name(self.path)
        else:
            self._upload = upload

    def _take(self, upload: Callable[[], tuple[str, Stored]]) -> None:
        address, stored = upload()
        self._upload = None
        self.path = address
        self._take_hash(stored)

    def _take_hash(self, stored: Stored) -> None:
        """The content hash of what was stored, where the user gave no hash of their own."""
        if self.hash is None or is_digest(self.hash.partition("/")[0]):
            self.hash = stored.digest

    def _already_at(self, local_path: Union[str, Path, None]) -> str | None:
        """The path, where it is local and is the one that is asked for, or none is; else None.

        Raises:
            DataNotFoundError: there is nothing.
            WrongKindOfDataError: a folder is where a file is due, or the other way round.
        """
        if is_remote(self.path):
            return None
        here = absolute(self.path)
        if local_path is not None and os.path.abspath(local_path) != here:
            return None
        found = backend_of(here).find(here)
        if found is None:
            raise not_found(here, "read")
        if found.kind != self.kind:
            raise wrong_kind(here, "read", f"a {found.kind}", self.kind)
        return here


def _restored(cls: type[Reference], fields: Dict[str, Any]) -> Reference:
    return cls(**fields)


def named_address(name: str) -> str:
    """The address for data that the running action calls `name`: the same in each of its attempts.

    Raises:
        NotInTaskContextError: no task is running here.
        InvalidAddressError: `name` is not a relative path that stays in its folder.
    """
    from flyte._context import ctx

    context = ctx()
    if not context:
        raise NotInTaskContextError(
            "NotInTaskContextError", f"named_remote({name!r}) names data of the running action: call it inside a task."
        )
    action = f"{context.action.run_name}/{context.action.name}"
    folder = md5(action.encode(), usedforsecurity=False).hexdigest()
    return below(join(absolute(context.raw_data_path.path).rstrip("/"), folder), checked_relative(name))


def in_a_task() -> bool:
    """Whether a task is running here, so that there is a place for its data."""
    from flyte._context import current_scope

    return current_scope() is not None


def matches_schema(incoming: Any, kind: str, properties: set[str]) -> bool:
    """Whether a JSON schema is that of a reference: it says so, or has its properties."""
    if not isinstance(incoming, dict):
        return False
    if incoming.get("x-flyte-type") is not None:
        return bool(incoming["x-flyte-type"] == kind)
    return incoming.get("title", "").lower() == kind and set(incoming.get("properties", ())) == properties


def awaitable(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
    """A blocking call, made on a thread."""
    return asyncio.to_thread(partial(function, *args, **kwargs))
