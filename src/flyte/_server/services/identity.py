"""`IdentityService`: who a caller is to this server."""

from __future__ import annotations

from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.auth.identity_pb2 import UserInfoRequest, UserInfoResponse

from flyte._server.callers import current_caller


class IdentityService:
    """Says who asks: the name of their token, or the user that the server runs for."""

    async def user_info(self, request: UserInfoRequest, ctx: RequestContext[Any, Any]) -> UserInfoResponse:
        """The caller."""
        caller = current_caller()
        return UserInfoResponse(subject=caller.subject, name=caller.name, preferred_username=caller.name)
