"""What obstore, fsspec and the operating system raise, as errors that name the data and the next step."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from flyte.errors import (
    DataAccessDeniedError,
    DataChangedError,
    DataNotFoundError,
    InvalidAddressError,
    StorageError,
    WrongKindOfDataError,
)
from flyte.storage._addresses import is_remote

_BY_CODE_OF_STORE = (
    ("NoSuchBucket", "bucket"),
    ("NoSuchUpload", "upload"),
    ("InvalidAccessKeyId", "credentials"),
    ("SignatureDoesNotMatch", "credentials"),
    ("ExpiredToken", "credentials"),
    ("AccessDenied", "denied"),
    ("EntityTooLarge", "too large"),
    ("KeyTooLong", "long key"),
    ("InvalidRange", "PreconditionError"),
)


_FAILED = re.compile(r"status code: (5\d\d[^:\n]*)")


@contextmanager
def data_errors(address: object, doing: str) -> Iterator[None]:
    """Turns what goes wrong in the block into a `StorageError` for the data at `address`.

    Args:
        address: Where the data is.
        doing: What the block does, as in "cannot <doing> <address>": `read`, `write`.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        translated = _translated(str(address), doing, error)
        if translated is None:
            raise
        raise translated from error


def _translated(address: str, doing: str, error: Exception) -> StorageError | None:
    """None for an exception that does not come from storage, such as one of the user's own iterator."""
    remote = is_remote(address)
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(address, doing, error)
    if remote and (isinstance(error, OSError) or type(error).__module__.startswith("obstore")):
        return _of_store(address, doing, error)
    if remote and isinstance(error, ValueError) and "parse path" in str(error):
        return InvalidAddressError(address, f"cannot {doing} {address}: {_first_line(error)}. Use another name.")
    if isinstance(error, OSError):
        return StorageError(address, f"cannot {doing} {address}: {_first_line(error)}. Check the path.")
    return None


def _of_system(address: str, doing: str, error: OSError) -> StorageError:
    head = f"cannot {doing} {address}"
    number = error.errno
    if number == errno.ENOENT:
        return not_found(address, doing)
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataAccessDeniedError(
            address, f"{head}: {error.strerror}. Let this user read and write there, or use another folder."
        )
    if number in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            address, f"{head}: the disk is full ({error.strerror}). Free some space and run again; no part was left."
        )
    if number == errno.ENAMETOOLONG:
        return InvalidAddressError(
            address, f"{head}: a part of the path is longer than the file system allows. Use a shorter name."
        )
    if number == errno.ELOOP:
        return InvalidAddressError(address, f"{head}: a symbolic link there leads back to itself. Remove the link.")
    if number == errno.EISDIR:
        return wrong_kind(address, doing, "a folder", "file")
    if number in (errno.ENOTDIR, errno.EEXIST):
        return WrongKindOfDataError(
            address, f"{head}: a part of the path is a file, not a folder. Use another path, or remove the file."
        )
    if number == errno.ENOTEMPTY:
        return StorageError(address, f"{head}: something is there already. Use a new address, or remove what is there.")
    if number == errno.EFBIG:
        return StorageError(
            address, f"{head}: it is larger than this process may write. Raise the limit of file sizes."
        )
    return StorageError(address, f"{head}: {error.strerror or error}. Check the path, and the disk it is on.")


def _of_store(address: str, doing: str, error: Exception) -> StorageError:
    text = str(error)
    head = f"cannot {doing} {address}"
    kind = next((kind for code, kind in _BY_CODE_OF_STORE if f"<Code>{code}" in text), type(error).__name__)
    match kind:
        case "bucket":
            return DataNotFoundError(address, f"{head}: the bucket does not exist. Create it, or check its name.")
        case "credentials" | "UnauthenticatedError":
            return DataAccessDeniedError(
                address,
                f"{head}: the store does not accept the credentials. Check the keys and the endpoint.",
            )
        case "denied" | "PermissionDeniedError" | "PermissionError":
            return DataAccessDeniedError(
                address, f"{head}: the store denies access. Check the credentials and the policy of the bucket."
            )
        case "NotFoundError" | "FileNotFoundError":
            return not_found(address, doing)
        case "PreconditionError":
            return DataChangedError(address, f"{head}: it was changed while it was read. Read it again.")
        case "too large":
            return StorageError(
                address, f"{head}: it is larger than the store takes in one object. Write it as several files."
            )
        case "long key":
            return InvalidAddressError(address, f"{head}: the key is longer than the store allows. Use a shorter one.")
        case "IsADirectoryError":
            return wrong_kind(address, doing, "a folder", "file")
        case "FileExistsError" | "NotADirectoryError":
            return WrongKindOfDataError(
                address, f"{head}: a part of the path is a file, not a folder. Use another path, or remove the file."
            )
    if "HTTP error" in text:
        return StorageError(
            address, f"{head}: the store does not answer ({_cause(text)}). Check the endpoint and the network."
        )
    if status := _FAILED.search(text):
        return StorageError(
            address,
            f"{head}: the store fails, and did so when asked again ({status[1]}). Run again later, or set more "
            "`retries` in the storage settings.",
        )
    return StorageError(address, f"{head}: {_cause(text)}. Check the settings of the storage.")


def is_missing_bucket(error: Exception) -> bool:
    """Whether a store says that it has no such bucket."""
    return "<Code>NoSuchBucket" in str(error)


def not_found(address: str, doing: str) -> DataNotFoundError:
    """The error for an address with nothing at it."""
    return DataNotFoundError(address, f"cannot {doing} {address}: there is nothing there. Check the path.")


def wrong_kind(address: str, doing: str, found: str, wanted: str) -> WrongKindOfDataError:
    """The error for a folder where a file is due, or the other way round."""
    use = {"file": "Use flyte.io.Dir for folders.", "folder": "Use flyte.io.File for files."}[wanted]
    return WrongKindOfDataError(address, f"cannot {doing} {address}: it is {found}, not a {wanted}. {use}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")


def _cause(text: str) -> str:
    """The part of an obstore message that says something: what comes behind the request, on one line."""
    line = text.split("Debug source:")[0].split("\n\n")[0]
    line = " ".join(line.split())
    _, _, tail = line.partition(" - ")
    return (tail or line)[:300].rstrip(" .")
