"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass

from flyteidl2.auth.identity_pb2 import UserInfoRequest, UserInfoResponse

from flyte._rpc.settings import current_session
from flyte.remote._class_calls import on_class
from flyte.remote._documents import Document


@dataclass
class User(Document):
    """Whom the control plane takes the caller for.

    Attributes:
        pb2: The message.
    """

    pb2: UserInfoResponse

    @on_class
    @classmethod
    async def get(cls) -> User:
        """Who the caller is."""
        return cls(await current_session().identity.user_info(UserInfoRequest()))

    def subject(self) -> str:
        """The id."""
        return str(self.pb2.subject)

    def name(self) -> str:
        """The name."""
        return str(self.pb2.name)
