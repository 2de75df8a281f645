"""Objects in S3, Google Cloud Storage and Azure, through obstore."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte._atomic import placed_whole
from flyte.errors import InvalidAddressError
from flyte.storage._addresses import checked_relative, parents_of, protocol_of
from flyte.storage._backend import ANYTHING, Backend, Expected, FileEntry, Found, Stored, Tuning, Writing
from flyte.storage._digests import digest_of_bytes, digest_of_file, digest_of_folder
from flyte.storage._failures import data_errors, is_missing_bucket, not_found, wrong_kind
from flyte.storage._fanout import run_all
from flyte.storage._fault_points import data_written
from flyte.storage._local import LOCAL_FILES, refuse_unless_file
from flyte.storage._merging import folder_placed
from flyte.storage._object_reads import ObjectVersion, Place, read_into_file
from flyte.storage._object_streams import ObjectWriting, RangeReader
from flyte.storage._parts import DOWNLOAD, FILES_IN_FLIGHT, UPLOAD, execution_attributes, part_size
from flyte.storage._settings import log_transfer, settings_for

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_LISTED_AT_ONCE = 1_000
_KEY_BYTES = 1_024
"""The longest key of S3 and of Google Cloud Storage; Azure takes as many characters."""


class _Objects(Backend):
    def find(self, address: str) -> Found | None:
        import obstore

        place = _place(address)
        with data_errors(address, "look at"):
            if place.key:
                try:
                    return Found("file", int(obstore.head(place.store, place.key)["size"]))
                except FileNotFoundError:
                    pass
            try:
                stream = obstore.list(place.store, place.key or None, chunk_size=1)
                return Found("folder", 0) if next(iter(stream), None) else None
            except Exception as error:
                if is_missing_bucket(error):
                    return None
                raise

    def list_files(self, address: str) -> list[FileEntry]:
        import obstore

        place = _place(address)
        skipped = len(place.key) + 1 if place.key else 0
        with data_errors(address, "list"):
            stream = obstore.list(place.store, place.key or None, chunk_size=_LISTED_AT_ONCE)
            entries = [
                FileEntry(each["path"][skipped:], int(each["size"]), each["e_tag"])
                for chunk in stream
                for each in chunk
            ]
        # Consoles keep folders as empty objects, which would be in the way of the files in them.
        folders = {parent for entry in entries for parent in parents_of(entry.relative)}
        return sorted(entry for entry in entries if entry.relative and (entry.size or entry.relative not in folders))

    def open_reader(self, address: str, chunk_size: int) -> io.BufferedIOBase:
        version = self._version(address)
        raw = RangeReader(version.range, version.size, chunk_size)
        return io.BufferedReader(raw, buffer_size=1 << 16)

    def open_writer(self, address: str, tuning: Tuning) -> Writing:
        default_chunk, concurrency = UPLOAD.of(tuning)
        chunk_size = part_size(0, default_chunk)
        return ObjectWriting(address, partial(_put, _file_place(address), address, chunk_size, concurrency))

    def read(self, address: str) -> bytes:
        import obstore

        place = _file_place(address)
        with data_errors(address, "read"):
            return bytes(obstore.get(place.store, place.key).bytes())

    def write(self, address: str, data: bytes | memoryview) -> None:
        chunk_size, concurrency = UPLOAD.of(Tuning())
        _put(_file_place(address), address, chunk_size, concurrency, data)

    def fetch_file(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        version = self._version(address)
        with data_errors(target, "write"), placed_whole(target) as temporary:
            _fetch(version, temporary, tuning)
            expected.check(address, lambda: digest_of_file(temporary))

    def store_file(self, source: Path, address: str, tuning: Tuning) -> Stored:
        place = _file_place(address)
        refuse_unless_file(source)
        with data_errors(source, "read"), source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
        default_chunk, concurrency = UPLOAD.of(tuning)
        with ThreadPoolExecutor(1, "flyte-hash") as hashing:
            digest = hashing.submit(digest_of_file, source)
            _put(place, address, part_size(size, default_chunk), concurrency, source)
            return Stored(size, digest.result())

    def fetch_folder(self, address: str, target: Path, tuning: Tuning, expected: Expected = ANYTHING) -> None:
        entries = self.list_files(address)
        if not entries:
            if self.find(address) is not None:
                raise wrong_kind(address, "read", "a file", "folder")
            raise not_found(address, "read")
        for entry in entries:
            checked_relative(entry.relative)
        place = _place(address)
        in_flight = tuning.batch_size or FILES_IN_FLIGHT

        def fetch(entry: FileEntry, path: Path) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            source = Place(place.store, _checked_key(f"{place.key}/{entry.relative}", address))
            there = f"{address.rstrip('/')}/{entry.relative}"
            _fetch(ObjectVersion(source, there, entry.size, entry.e_tag), path, tuning)

        with data_errors(target, "write"), folder_placed(target) as temporary:
            run_all([partial(fetch, entry, temporary / entry.relative) for entry in entries], in_flight)
            found = ((entry.relative, digest_of_file(temporary / entry.relative)) for entry in entries)
            expected.check(address, lambda: digest_of_folder(found))

    def store_folder(self, source: Path, address: str, tuning: Tuning) -> Stored:
        place = _place(address)
        entries = LOCAL_FILES.list_files(str(source))
        folder = address.rstrip("/")
        targets = {entry.relative: f"{folder}/{checked_relative(entry.relative)}" for entry in entries}
        written: list[str] = []

        def store(entry: FileEntry) -> tuple[str, str]:
            path = source / entry.relative
            chunk_size, concurrency = UPLOAD.of(tuning)
            target = targets[entry.relative]
            if entry.size > chunk_size:
                digest = self.store_file(path, target, tuning).digest
            else:
                with data_errors(path, "read"):
                    data = path.read_bytes()
                there = Place(place.store, _checked_key(f"{place.key}/{entry.relative}", target))
                _put(there, target, part_size(0, chunk_size), concurrency, data)
                digest = digest_of_bytes(data)
            written.append(target)
            return entry.relative, digest

        try:
            digests = run_all([partial(store, entry) for entry in entries], tuning.batch_size or FILES_IN_FLIGHT)
        except BaseException:
            # Not what was there before under the names of files that were not written yet.
            self.delete_files(written)
            raise
        return Stored(sum(entry.size for entry in entries), digest_of_folder(digests))

    def _version(self, address: str) -> ObjectVersion:
        """The object that is at the address now."""
        import obstore

        place = _file_place(address)
        with data_errors(address, "read"):
            try:
                meta = obstore.head(place.store, place.key)
            except FileNotFoundError:
                if self.list_files(address):
                    raise wrong_kind(address, "read", "a folder", "file") from None
                raise
        return ObjectVersion(place, address, int(meta["size"]), meta["e_tag"])

    def delete_files(self, addresses: Iterable[str]) -> None:
        import obstore

        by_store: dict[int, tuple[ObjectStore, list[str]]] = {}
        for place in map(_place, addresses):
            by_store.setdefault(id(place.store), (place.store, []))[1].append(place.key)
        for store, keys in by_store.values():
            # What cannot be reached now was not what failed first; the caller raises that.
            with suppress(Exception):
                obstore.delete(store, keys)

    def arguments_for_polars(self, address: str) -> dict[str, Any]:
        protocol = protocol_of(address)
        arguments = settings_for(protocol).get_fsspec_kwargs()
        prefix = {"s3": "aws_", "s3a": "aws_", "gs": "google_"}.get(protocol, "azure_storage_")
        options = {**arguments.get("config", {}), **({"region": arguments["region"]} if "region" in arguments else {})}
        named = {
            f"{prefix}{name}": str(value).lower() if isinstance(value, bool) else value
            for name, value in options.items()
        }
        return {"storage_options": {**named, "allow_http": "true"}} if named else {}


OBJECTS = _Objects()


def _file_place(address: str) -> Place:
    place = _place(address)
    if not place.key:
        raise InvalidAddressError(address, f"{address!r} names a bucket, not a file in it: add a path behind it.")
    return place


def _place(address: str) -> Place:
    protocol = protocol_of(address)
    bucket, _, key = address.partition("://")[2].partition("/")
    if not bucket:
        raise InvalidAddressError(address, f"{address!r} names no bucket: expected {protocol}://bucket/path.")
    key = _checked_key(key, address)
    scheme = "s3" if protocol == "s3a" else protocol
    with data_errors(address, "reach"):
        try:
            return Place(_store(f"{scheme}://{bucket}", settings_for(protocol), _credentials_seen()), key)
        except ValueError as error:
            raise InvalidAddressError(address, f"{address!r} names no bucket: {error}. Check its name.") from error


def _checked_key(path: str, address: str) -> str:
    """The key that a path in a bucket stands for.

    Raises:
        InvalidAddressError: stores take no such key.
    """
    key = path.strip("/")
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        reason = "it is not Unicode, which keys are"
    else:
        if length <= _KEY_BYTES and "\0" not in key:
            return key
        reason = "it holds a NUL"
        if length > _KEY_BYTES:
            reason = f"its key has {length} bytes, and stores take {_KEY_BYTES}; use a shorter one"
    raise InvalidAddressError(address, f"{address!r} cannot be the address of an object: {reason}.")


def _credentials_seen() -> tuple[tuple[str, str], ...]:
    """The variables that stores are configured by: a store made under others is not used again."""
    prefixes = ("AWS_", "GOOGLE_", "AZURE_")
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(prefixes)))


@lru_cache(maxsize=64)
def _store(url: str, settings: Any, credentials_seen: Any) -> ObjectStore:
    from obstore.store import from_url

    store: ObjectStore = from_url(url, **settings.get_fsspec_kwargs())
    return store


def _put(place: Place, address: str, chunk_size: int, concurrency: int, data: Any) -> None:
    import obstore

    began = time.monotonic()
    with data_errors(address, "write"), data_written():
        obstore.put(
            place.store,
            place.key,
            data,
            chunk_size=chunk_size,
            max_concurrency=concurrency,
            attributes=execution_attributes(address),
        )
    log_transfer(address, "wrote", began)


def _fetch(version: ObjectVersion, target: Path, tuning: Tuning) -> None:
    """The new file `target` holds an object."""
    began = time.monotonic()
    with data_errors(target, "write"), data_written(), target.open("xb", buffering=0) as file:
        if version.size:
            read_into_file(version, target, file.fileno(), *DOWNLOAD.of(tuning))
    log_transfer(version.address, "read", began)
