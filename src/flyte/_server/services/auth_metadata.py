"""`AuthMetadataService`: how callers log in. They do not: they have a token, or need none."""

from __future__ import annotations

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.auth.auth_service_pb2 import (
    GetOAuth2MetadataRequest,
    GetOAuth2MetadataResponse,
    GetPublicClientConfigRequest,
    GetPublicClientConfigResponse,
)

from flyte._server.codes import Context


class AuthMetadataService:
    """Says that there is no login page, and what to do instead."""

    async def get_o_auth2_metadata(self, request: GetOAuth2MetadataRequest, ctx: Context) -> GetOAuth2MetadataResponse:
        """Nothing: clients that ask are set up for a login.

        Raises:
            ConnectError: always.
        """
        raise ConnectError(
            Code.UNIMPLEMENTED,
            "this server has no login page: it takes tokens. `flyte create token NAME` where it runs makes one; in the "
            "client's configuration, set `admin: {authType: ExternalCommand, command: [echo, TOKEN]}`.",
        )

    async def get_public_client_config(
        self, request: GetPublicClientConfigRequest, ctx: Context
    ) -> GetPublicClientConfigResponse:
        """The header that tokens are sent in."""
        return GetPublicClientConfigResponse(authorization_metadata_key="authorization")
