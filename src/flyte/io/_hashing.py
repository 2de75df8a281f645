"""Hashes that users choose for their data: what equal data has in common, for caches and for the names of actions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Union, runtime_checkable

from flyte.storage._failures import data_errors

_READ_BYTES = 1 << 20


@runtime_checkable
class HashMethod(Protocol):
    """Hashes data that it is fed in order; an object of `hashlib` becomes one by `HashlibAccumulator`."""

    def update(self, data: Any, /) -> None:
        """The next data: bytes of a file as they come, or a whole frame."""
        ...

    def result(self) -> str:
        """The hash of everything so far."""
        ...

    def reset(self) -> None:
        """Start anew, where the method can: it may be used for several values."""
        return


class HashFunction(HashMethod):
    """A hash made by a function of the whole value: `HashFunction.from_fn(lambda frame: ...)`.

    Args:
        fn: Gives the hash of a value: of a frame, or of all bytes of a file.
    """

    def __init__(self, fn: Callable[[Any], str]) -> None:
        self._fn = fn
        self._result = ""

    @classmethod
    def from_fn(cls, fn: Callable[[Any], str]) -> HashFunction:
        """The hash that `fn` gives."""
        return cls(fn)

    def update(self, data: Any, /) -> None:
        """Hash `data`, in place of what was hashed before."""
        self._result = self._fn(data)

    def result(self) -> str:
        """The hash of what was last given to `update`."""
        return self._result


class HashlibAccumulator(HashMethod):
    """The hex digest of a `hashlib` hash.

    Args:
        h: Such as `hashlib.sha256()`.
    """

    def __init__(self, h: Any) -> None:
        self._fresh = h.copy()
        self._hash = h

    @classmethod
    def from_hash_name(cls, name: str) -> HashlibAccumulator:
        """The hash that hashlib has by that name."""
        import hashlib

        return cls(hashlib.new(name))

    def update(self, data: Any, /) -> None:
        """The next bytes."""
        self._hash.update(data)

    def result(self) -> str:
        """The hex digest of all bytes so far."""
        digest: str = self._hash.hexdigest()
        return digest

    def reset(self) -> None:
        """As if no bytes had been given."""
        self._hash = self._fresh.copy()


def known_hash(hash_method: Union[HashMethod, str, None]) -> str | None:
    """The hash that was given as such; None where it is to be computed.

    Raises:
        TypeError: `hash_method` is neither a text nor a `HashMethod`.
    """
    if hash_method is None or isinstance(hash_method, str):
        return hash_method
    if not isinstance(hash_method, HashMethod):
        raise TypeError(
            f"hash_method is {hash_method!r}: give the hash as a text, or an object with update() and result() such as "
            "flyte.io.HashFunction.from_fn(...)."
        )
    return None


def hash_of_file(path: Path, hash_method: HashMethod) -> str:
    """The hash of a local file by the user's method.

    Raises:
        StorageError: the file cannot be read.
    """
    hash_method.reset()
    with data_errors(path, "read"), path.open("rb") as file:
        if isinstance(hash_method, HashFunction):
            hash_method.update(file.read())
        else:
            while chunk := file.read(_READ_BYTES):
                hash_method.update(memoryview(chunk))
    return hash_method.result()


class WholeContent:
    """Collects the bytes of a file that is being written, for a method that wants them all at once."""

    def __init__(self, method: HashFunction) -> None:
        self._method = method
        self._parts: list[bytes] = []

    def update(self, data: Any, /) -> None:
        """The next bytes."""
        self._parts.append(bytes(data))

    def result(self) -> str:
        """The hash of all of them."""
        self._method.update(b"".join(self._parts))
        return self._method.result()
