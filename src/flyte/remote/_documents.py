"""Objects around a message, as documents that other programs read."""

from __future__ import annotations

import json
from typing import Any, Generic, ParamSpec

P = ParamSpec("P")


class Startable(Generic[P]):
    """What a control plane can start a run of, as it knows its inputs itself."""


class Document:
    """An object whose `pb2` is the message that the control plane sent."""

    pb2: Any

    def to_dict(self) -> dict[str, Any]:
        """The message as JSON has it, with the names of its fields in camel case."""
        from google.protobuf.json_format import MessageToDict

        document: dict[str, Any] = MessageToDict(self.pb2)
        return document

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict())
