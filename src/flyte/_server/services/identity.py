"""`IdentityService`: who a caller is to this server."""

from __future__ import annotations

from flyteidl2.auth.identity_pb2 import UserInfoRequest, UserInfoResponse

from flyte._server.callers import current_caller
from flyte._server.codes import Context


class IdentityService:
    """Says who asks: the name of their token, or the user that the server runs for."""

    async def user_info(self, request: UserInfoRequest, ctx: Context) -> UserInfoResponse:
        """The caller."""
        caller = current_caller()
        return UserInfoResponse(subject=caller.subject, name=caller.name, preferred_username=caller.name)
