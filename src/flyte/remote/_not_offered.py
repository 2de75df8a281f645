"""Names of the Flyte 2 surface whose services this project does not have."""

from __future__ import annotations

from typing import Any, NoReturn

from flyte.errors import UnionRpcError


class _NotOffered(type):
    """Classes that say why nothing can be made with them."""

    _why: str

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnionRpcError("Unimplemented", f"flyte.remote.{cls.__name__}.{name}: {cls._why}")

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise UnionRpcError("Unimplemented", f"flyte.remote.{cls.__name__}: {cls._why}")


class App(metaclass=_NotOffered):
    """Apps are not served by this release."""

    _why = "this release serves no apps; run them as tasks, or beside it."


class Artifact(metaclass=_NotOffered):
    """There is no registry of artifacts in this release."""

    _why = "this release has no registry of artifacts; return data from tasks as flyte.io.File, Dir or DataFrame."


class PartitionSchema(metaclass=_NotOffered):
    """The partitions of artifacts, of which there are none in this release."""

    _why = Artifact._why
