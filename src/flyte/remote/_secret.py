"""Secrets; their values go to a control plane and never come back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Literal, Union

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest
from flyteidl2.common.list_pb2 import ListRequest
from flyteidl2.secret import definition_pb2 as messages
from flyteidl2.secret import payload_pb2 as service

from flyte._rpc.failures import ALREADY_EXISTS
from flyte._rpc.sessions import Session
from flyte._rpc.settings import current_session
from flyte.errors import UnionRpcError
from flyte.remote._class_calls import on_class
from flyte.remote._clusters import session_for
from flyte.remote._documents import Document
from flyte.remote._filters import pages
from flyte.remote._places import project_id

SecretTypes = Literal["regular", "image_pull"]
_TYPES = {"regular": messages.SECRET_TYPE_GENERIC, "image_pull": messages.SECRET_TYPE_IMAGE_PULL_SECRET}


@dataclass
class Secret(Document):
    """A secret, without its value.

    Attributes:
        pb2: The message.
    """

    pb2: messages.Secret

    @on_class
    @classmethod
    async def create(
        cls, name: str, value: Union[str, bytes], type: SecretTypes = "regular", cluster_pool: str | None = None
    ) -> None:
        """The secret has this value, new or in place of another.

        Args:
            name: What tasks ask for it by.
            value: A text, or bytes.
            type: `regular`, or `image_pull` for a registry of images.
            cluster_pool: Refused: there are no pools of clusters here.

        Raises:
            ValueError: there is no such type, or the value is empty.
        """
        _refuse(cluster_pool)
        if type not in _TYPES:
            raise ValueError(f"type: expected 'regular' or 'image_pull', got {type!r}.")
        if not value:
            raise ValueError(f"secret {name!r} has no value.")
        spec = messages.SecretSpec(type=_TYPES[type])
        if isinstance(value, str):
            spec.string_value = value
        else:
            spec.binary_value = value
        session = await _session()
        identifier = _id(session, name)
        try:
            await session.secrets.create_secret(service.CreateSecretRequest(id=identifier, secret_spec=spec))
        except UnionRpcError as error:
            if error.code != ALREADY_EXISTS:
                raise
            await session.secrets.update_secret(service.UpdateSecretRequest(id=identifier, secret_spec=spec))

    @on_class
    @classmethod
    async def get(cls, name: str, cluster_pool: str | None = None) -> Secret:
        """The secret of that name.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
        """
        _refuse(cluster_pool)
        session = await _session()
        answer = await session.secrets.get_secret(service.GetSecretRequest(id=_id(session, name)))
        return cls(answer.secret)

    @on_class
    @classmethod
    async def listall(cls, limit: int = 10, cluster_pool: str | None = None) -> AsyncIterator[Secret]:
        """The secrets of the project.

        Args:
            limit: How many at most; below 0 is all.
            cluster_pool: Refused: there are no pools of clusters here.
        """
        _refuse(cluster_pool)
        session = await _session()

        async def fetch(request: ListRequest) -> tuple[Iterable[messages.Secret], str]:
            answer = await session.secrets.list_secrets(
                service.ListSecretsRequest(
                    organization=session.org,
                    project=session.settings.project or "",
                    domain=session.settings.domain or "",
                    limit=request.limit,
                    token=request.token,
                )
            )
            return answer.secrets, answer.token

        async for each in pages(fetch, limit=limit):
            yield cls(each)

    @on_class
    @classmethod
    async def delete(cls, name: str, cluster_pool: str | None = None) -> None:
        """The secret is gone.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
        """
        _refuse(cluster_pool)
        session = await _session()
        await session.secrets.delete_secret(service.DeleteSecretRequest(id=_id(session, name)))

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.pb2.id.name)

    @property
    def type(self) -> str:
        """What it is for."""
        return next(name for name, number in _TYPES.items() if number == self.pb2.secret_metadata.type)


async def _session() -> Session:
    session = current_session()
    operation = SelectClusterRequest.OPERATION_USE_SECRETS
    return await session_for(session, operation, project_id=project_id(session))


def _id(session: Session, name: str) -> messages.SecretIdentifier:
    # Without a project it is one of the whole organisation.
    return messages.SecretIdentifier(
        name=name,
        organization=session.org,
        project=session.settings.project or "",
        domain=session.settings.domain or "",
    )


def _refuse(cluster_pool: str | None) -> None:
    if cluster_pool is not None:
        raise ValueError(f"cluster_pool={cluster_pool!r}: this release knows no pools of clusters; leave it out.")
