"""`SecretService`: secrets are set and deleted, and never given out."""

from __future__ import annotations

from flyteidl2.common.identifier_pb2 import ClusterIdentifier
from flyteidl2.secret import definition_pb2 as definitions
from flyteidl2.secret import payload_pb2 as messages

from flyte._server.codes import Context, answering
from flyte._server.refusals import AlreadyThereError, InvalidRequestError, UnknownError
from flyte._server.services.attempts import CLUSTER
from flyte._server.services.clock import now_us
from flyte._server.services.identifiers import place_of, text_of
from flyte._server.services.list_requests import page_size
from flyte._server.services.places import Places
from flyte._server.services.project_places import require_place
from flyte._server.services.store import ServedStore
from flyte._server.services.views import timestamp
from flyte._store.served_secrets import (
    SecretKey,
    StoredSecret,
    Vault,
    create_secret,
    delete_secret,
    find_secret,
    list_secrets,
    update_secret,
)

_NAME_LENGTH = 255
LARGEST_VALUE_BYTES = 1 << 20


@answering
class SecretService:
    """Secrets of a project, of a domain, or of all."""

    def __init__(self, store: ServedStore, places: Places, vault: Vault) -> None:
        self._store = store
        self._places = places
        self._vault = vault

    async def create_secret(self, request: messages.CreateSecretRequest, ctx: Context) -> messages.CreateSecretResponse:
        """The secret is there."""
        key = _key(request.id)
        value, kind = _value(request.secret_spec), _kind(request.secret_spec)
        await require_place(self._store, self._places, key.project, key.domain)
        sealed = self._vault.seal(key, value)
        if not await self._store.write(create_secret(key, kind, sealed, now_us())):
            raise AlreadyThereError(f"there is a secret {key.name!r} {_where(key)}: UpdateSecret changes its value.")
        return messages.CreateSecretResponse()

    async def update_secret(self, request: messages.UpdateSecretRequest, ctx: Context) -> messages.UpdateSecretResponse:
        """The secret has that value."""
        key = _key(request.id)
        sealed = self._vault.seal(key, _value(request.secret_spec))
        if not await self._store.write(update_secret(key, _kind(request.secret_spec), sealed, now_us())):
            raise _unknown(key)
        return messages.UpdateSecretResponse()

    async def get_secret(self, request: messages.GetSecretRequest, ctx: Context) -> messages.GetSecretResponse:
        """That the secret is there; not its value."""
        key = _key(request.id)
        secret = await self._store.read(lambda reader: find_secret(reader, key))
        if secret is None:
            raise _unknown(key)
        return messages.GetSecretResponse(secret=self._message(secret))

    async def delete_secret(self, request: messages.DeleteSecretRequest, ctx: Context) -> messages.DeleteSecretResponse:
        """The secret is gone."""
        key = _key(request.id)
        if not await self._store.write(delete_secret(key)):
            raise _unknown(key)
        return messages.DeleteSecretResponse()

    async def list_secrets(self, request: messages.ListSecretsRequest, ctx: Context) -> messages.ListSecretsResponse:
        """One page of the secrets of a level, by name, without their values."""
        after = text_of(request.token, "token", _NAME_LENGTH, may_be_empty=True)
        level = _level(request.project, request.domain, after)
        limit = page_size(request.limit)
        secrets = await self._store.read(lambda reader: list_secrets(reader, level, limit + 1))
        token = secrets[limit - 1].key.name if len(secrets) > limit else ""
        shown = [self._message(each) for each in secrets[:limit]]
        return messages.ListSecretsResponse(secrets=shown, token=token)

    def _message(self, secret: StoredSecret) -> definitions.Secret:
        here = definitions.ClusterSecretStatus(
            cluster=ClusterIdentifier(organization=self._places.org, name=CLUSTER),
            presence_status=definitions.PRESENT,
        )
        key = secret.key
        return definitions.Secret(
            id=definitions.SecretIdentifier(
                name=key.name, organization=self._places.org, domain=key.domain, project=key.project
            ),
            secret_metadata=definitions.SecretMetadata(
                created_time=timestamp(secret.created_us),
                secret_status=definitions.SecretStatus(overall_status=definitions.FULLY_PRESENT, cluster_status=[here]),
                type=secret.kind,
            ),
        )


def _key(identifier: definitions.SecretIdentifier) -> SecretKey:
    name = text_of(identifier.name, "id.name", _NAME_LENGTH)
    return _level(identifier.project, identifier.domain, name)


def _level(project: str, domain: str, name: str) -> SecretKey:
    if project and not domain:
        raise InvalidRequestError(f"project is {project[:60]!r} and domain is empty: a project's secrets name both.")
    return SecretKey(
        place_of(project, "project") if project else "", place_of(domain, "domain") if domain else "", name
    )


def _value(spec: definitions.SecretSpec) -> bytes:
    kind = spec.WhichOneof("value")
    value: bytes = spec.binary_value if kind == "binary_value" else spec.string_value.encode()
    # The value itself is in no message.
    if not value:
        raise InvalidRequestError("secret_spec has no value: expected string_value or binary_value, not empty.")
    if len(value) > LARGEST_VALUE_BYTES:
        raise InvalidRequestError(
            f"the value in secret_spec has {len(value)} bytes: expected at most {LARGEST_VALUE_BYTES}."
        )
    if b"\0" in value:
        raise InvalidRequestError("the value in secret_spec holds a zero byte, which no environment variable can.")
    return value


def _kind(spec: definitions.SecretSpec) -> int:
    if spec.type != definitions.SECRET_TYPE_GENERIC:
        raise InvalidRequestError(
            "secret_spec.type is not generic: this server pulls no images, so it keeps no secrets for that."
        )
    return int(spec.type)


def _where(key: SecretKey) -> str:
    if key.project:
        return f"in {key.project}/{key.domain}"
    return f"in domain {key.domain}" if key.domain else "for all projects"


def _unknown(key: SecretKey) -> UnknownError:
    return UnknownError(f"there is no secret {key.name!r} {_where(key)}: `flyte get secret` lists those there are.")
