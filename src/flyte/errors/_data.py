"""Data outside the records: files, folders and objects that cannot be read or written."""

from __future__ import annotations

from flyte.errors._base import FROM_USER_CODE, RuntimeUserError


class StorageError(RuntimeUserError):
    """Data could not be read or written.

    Attributes:
        address: Where the data is: a path or a URL.
    """

    error_code = "StorageError"

    def __init__(self, address: str, message: str) -> None:
        super().__init__(self.error_code, message, FROM_USER_CODE)
        self.address = address


class DataNotFoundError(StorageError, FileNotFoundError, ValueError):
    """There is nothing at an address, or its bucket does not exist.

    It is a `FileNotFoundError` and a `ValueError` too, so that either `except` catches it.
    """

    error_code = "DataNotFound"


class DataAccessDeniedError(StorageError, PermissionError):
    """The store, or the file system, does not let this process read or write there."""

    error_code = "DataAccessDenied"


class DataChangedError(StorageError):
    """Data is not what was written: its size or its content hash differs."""

    error_code = "DataChanged"


class InvalidAddressError(StorageError, ValueError):
    """An address that nothing can be at, or a relative one that leads out of where it belongs."""

    error_code = "InvalidAddress"


class WrongKindOfDataError(StorageError, ValueError):
    """A folder is where a file is due, or the other way round; or a file does not hold what its format says."""

    error_code = "WrongKindOfData"
