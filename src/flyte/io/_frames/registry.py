"""Which encoder and decoder goes with a class, a kind of storage and a format."""

from __future__ import annotations

import difflib
import threading
from typing import Any, Generic, TypeVar

from flyte.io._frames.formats import PARQUET
from flyte.io._frames.handlers import DataFrameDecoder, DataFrameEncoder
from flyte.types._failure import TypeTransformerFailedError, type_text
from flyte.types._providers import provide_class
from flyte.types._rendering import Renderable

H = TypeVar("H", DataFrameEncoder[Any], DataFrameDecoder[Any])

ANY_PROTOCOL = "fsspec"
"""The key of handlers for every kind of storage."""


class DuplicateHandlerError(ValueError):
    """A handler for the same class, protocol and format is registered already."""


class HandlerTable(dict[type, dict[str, dict[str, H]]], Generic[H]):
    """Handlers by class, protocol and format; the empty format is one that takes any."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def add(self, handler: H, protocol: str, *, override: bool) -> None:
        """Let `handler` serve a protocol.

        Raises:
            DuplicateHandlerError: another one does, and `override` is not set.
        """
        formats = self.setdefault(handler.python_type, {}).setdefault(protocol, {})
        known = formats.get(handler.supported_format)
        if known is not None and known is not handler and not override:
            raise DuplicateHandlerError(
                f"{handler!r} cannot be registered: {known!r} is already. Pass override=True to replace it."
            )
        formats[handler.supported_format] = handler

    def find(self, cls: type, protocol: str, format: str) -> H:
        """The handler for frames of a class, or else of the nearest class above it.

        Raises:
            TypeTransformerFailedError: there is none; says what there is.
        """
        for ancestor in cls.__mro__:
            protocols = self.get(ancestor, {})
            for key in (protocol, ANY_PROTOCOL):
                formats = protocols.get(key, {})
                handler = formats.get(format) or formats.get("")
                if handler is None and not format:
                    handler = formats.get(PARQUET) or next(iter(formats.values()), None)
                if handler is not None:
                    return handler
        raise self._not_found(cls, protocol, format)

    def _not_found(self, cls: type, protocol: str, format: str) -> TypeTransformerFailedError:
        known = {each for ancestor in cls.__mro__ for formats in self.get(ancestor, {}).values() for each in formats}
        near = difflib.get_close_matches(format, known, 1)
        if near:
            fix = f"Did you mean {near[0]!r}?"
        elif known:
            fix = f"Use one of {', '.join(sorted(map(repr, known)))}, or register a handler for it."
        else:
            fix = f"Register one for it: flyte.io.extend.DataFrameTransformerEngine.register({self._role}())."
        return TypeTransformerFailedError(
            f"Failed to find a handler for {type_text(cls)}, protocol [{protocol}], fmt ['{format}']: "
            f"no {self._role} {'for this format' if known else 'for this class'} is registered. {fix}",
            fix=fix,
        )


class Registry:
    """All handlers, with what goes with a class."""

    def __init__(self) -> None:
        self.encoders: HandlerTable[DataFrameEncoder[Any]] = HandlerTable("DataFrameEncoder")
        self.decoders: HandlerTable[DataFrameDecoder[Any]] = HandlerTable("DataFrameDecoder")
        self.default_formats: dict[type, str] = {}
        self.default_protocols: dict[type, str] = {}
        self.renderers: dict[type, Renderable] = {}
        self._lock = threading.RLock()

    def add(
        self,
        handler: DataFrameEncoder[Any] | DataFrameDecoder[Any],
        protocol: str | None = None,
        *,
        override: bool = False,
        default_format: bool = False,
        default_protocol: bool = False,
    ) -> None:
        """Let a handler serve its class.

        Args:
            handler: An encoder or decoder.
            protocol: The kind of storage; default its own.
            override: It may take the place of another one.
            default_format: Frames of its class are written in its format unless an annotation says otherwise.
            default_protocol: They are written to its protocol.

        Raises:
            DuplicateHandlerError: another one does, and `override` is not set.
            TypeError: it is neither encoder nor decoder.
        """
        if not isinstance(handler, DataFrameEncoder | DataFrameDecoder):
            raise TypeError(f"{handler!r} is neither a DataFrameEncoder nor a DataFrameDecoder.")
        cls = handler.python_type
        with self._lock:
            self._ensure_builtin(cls)
            key = protocol or handler.protocol or ANY_PROTOCOL
            if isinstance(handler, DataFrameEncoder):
                self.encoders.add(handler, key, override=override)
            else:
                for each in (key, *handler.additional_protocols):
                    self.decoders.add(handler, each, override=override)
            if default_format:
                self.default_formats[cls] = handler.supported_format
            if default_protocol:
                self.default_protocols[cls] = key
        provide_class(cls, "flyte.io._converters")

    def encoder(self, cls: type, protocol: str, format: str) -> DataFrameEncoder[Any]:
        """What writes frames of a class.

        Raises:
            TypeTransformerFailedError: nothing does.
        """
        self._ensure_builtin(cls)
        return self.encoders.find(cls, protocol, format)

    def decoder(self, cls: type, protocol: str, format: str) -> DataFrameDecoder[Any]:
        """What reads frames as a class.

        Raises:
            TypeTransformerFailedError: nothing does.
        """
        self._ensure_builtin(cls)
        return self.decoders.find(cls, protocol, format)

    def knows(self, cls: type) -> bool:
        """Whether values of a class are frames that somebody writes or reads."""
        self._ensure_builtin(cls)
        return any(ancestor in self.encoders or ancestor in self.decoders for ancestor in cls.__mro__)

    def default_format(self, cls: type) -> str:
        """The format for a class whose annotation names none."""
        return next((self.default_formats[each] for each in cls.__mro__ if each in self.default_formats), PARQUET)

    def renderer(self, cls: type) -> Renderable | None:
        """What shows frames of a class on report pages."""
        return next((self.renderers[each] for each in cls.__mro__ if each in self.renderers), None)

    def _ensure_builtin(self, cls: type) -> None:
        from flyte.io._frames.builtin import builtin_class, builtin_handlers

        known = builtin_class(cls)
        if known is None or known in self.decoders:
            return
        with self._lock:
            if known not in self.decoders:
                # Filled before it is seen: the classes that it is told by are asked for without the lock.
                encoders, decoders = builtin_handlers(known)
                self.encoders[known] = {ANY_PROTOCOL: encoders}
                self.decoders[known] = {ANY_PROTOCOL: decoders}


registry = Registry()
