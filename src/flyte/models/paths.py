"""Where code, data and checkpoints of an action are."""

from __future__ import annotations

import os
import pathlib
from dataclasses import dataclass, replace
from typing import List, Optional

from flyte.models.rich_repr import RichRepr

_LOCAL_PROTOCOLS = frozenset({"file", "local"})
_REMOTE_PROTOCOLS = frozenset(
    {"abfs", "abfss", "adl", "az", "flyte", "gcs", "gs", "http", "https", "memory", "s3", "s3a"}
)


@dataclass(frozen=True, kw_only=True, repr=False)
class CodeBundle(RichRepr):
    """The user's code, packed as an archive (`tgz`) or as one pickled task (`pkl`).

    Attributes:
        computed_version: Hash of the packed code, the version of tasks deployed from it.
        destination: Folder to unpack into, relative to the working directory of the task.
        tgz: Where the archive is.
        pkl: Where the pickled task is.
        downloaded_path: Local copy, once there is one.
        files: Absolute paths of the packed files, where they are known.

    Raises:
        ValueError: neither `tgz` nor `pkl` is given.
    """

    computed_version: str
    destination: str = "."
    tgz: str | None = None
    pkl: str | None = None
    downloaded_path: pathlib.Path | None = None
    files: List[str] | None = None

    def __post_init__(self) -> None:
        if self.tgz is None and self.pkl is None:
            raise ValueError(
                f"Either tgz or pkl must be provided: code bundle {self.computed_version!r} says where neither is."
            )

    def __hash__(self) -> int:
        files = None if self.files is None else tuple(self.files)
        return hash((self.computed_version, self.destination, self.tgz, self.pkl, self.downloaded_path, files))

    def with_downloaded_path(self, path: pathlib.Path) -> CodeBundle:
        """A copy that says the local copy is at `path`; nothing is checked."""
        return replace(self, downloaded_path=path)


@dataclass(frozen=True, repr=False)
class CheckpointPaths(RichRepr):
    """Where an attempt finds what the previous one left, and where it leaves something for the next."""

    prev_checkpoint_path: str | None
    checkpoint_path: str | None


@dataclass(repr=False)
class PathRewrite(RichRepr):
    """Reads data from `new_prefix` wherever its recorded address starts with `old_prefix`.

    Raises:
        ValueError: a prefix is empty, or both are the same.
    """

    old_prefix: str
    new_prefix: str

    def __post_init__(self) -> None:
        if not self.old_prefix or not self.new_prefix:
            raise ValueError(f"a path rewrite needs two non-empty prefixes: {self.old_prefix!r}, {self.new_prefix!r}")
        if self.old_prefix == self.new_prefix:
            raise ValueError(f"a path rewrite needs two different prefixes, got {self.old_prefix!r} twice")

    @classmethod
    def from_str(cls, pattern: str) -> PathRewrite:
        """Read the form `old->new`; blanks count.

        Raises:
            ValueError: `pattern` is not two prefixes around one arrow.
        """
        prefixes = pattern.split("->")
        if len(prefixes) != 2:
            raise ValueError(f"path rewrite {pattern!r} is not of the form 'old_prefix->new_prefix'")
        return cls(*prefixes)


@dataclass(frozen=True, kw_only=True, repr=False)
class RawDataPath(RichRepr):
    """The prefix under which a task puts data that is too large for its outputs.

    Attributes:
        path: A folder on this machine, or a prefix such as `s3://bucket/data`.
        path_rewrite: Applied to the addresses found in inputs.
    """

    path: str
    path_rewrite: Optional[PathRewrite] = None

    @classmethod
    def from_local_folder(cls, local_folder: str | pathlib.Path | None = None) -> RawDataPath:
        """Put data into a local folder.

        Args:
            local_folder: A `Path` is created with its parents; a string is taken as it is and nothing is created; None
                makes a temporary folder.

        Raises:
            ValueError: `local_folder` is of another type.
        """
        match local_folder:
            case pathlib.Path():
                local_folder.mkdir(parents=True, exist_ok=True)
                return cls(path=str(local_folder))
            case None:
                from tempfile import mkdtemp

                return cls(path=mkdtemp())
            case str():
                return cls(path=local_folder)
        raise ValueError(
            f"Invalid local path {local_folder}: expected a pathlib.Path, a string or None, "
            f"got {type(local_folder).__name__}."
        )

    def get_random_remote_path(self, file_name: Optional[str] = None) -> str:
        """An address below this prefix that nothing else uses.

        The random part comes from `random`, so `random.seed` makes it repeatable. For a local prefix the address is
        absolute, and the folders it needs are created; the file is not. For a remote prefix nothing is created.

        Args:
            file_name: Last part of the address; may hold folders (`sub/data.csv`).

        Raises:
            ValueError: the prefix has a protocol that nothing here can store to.
        """
        from random import getrandbits

        unique = f"{getrandbits(128):032x}"
        protocol, separator, rest = self.path.partition("://")
        if separator and protocol not in _LOCAL_PROTOCOLS:
            return _below_remote(protocol, self.path, unique, file_name)
        return _below_local(rest if separator else self.path, unique, file_name)


def _below_remote(protocol: str, prefix: str, unique: str, file_name: str | None) -> str:
    if protocol not in _REMOTE_PROTOCOLS:
        known = ", ".join(sorted(_REMOTE_PROTOCOLS | _LOCAL_PROTOCOLS))
        raise ValueError(f"Protocol not known: {protocol} (in raw data path {prefix!r}; known are {known})")
    address = f"{prefix.removesuffix('/')}/{unique}"
    return f"{address}/{file_name}" if file_name else address


def _below_local(prefix: str, unique: str, file_name: str | None) -> str:
    folder = pathlib.Path(os.path.abspath(prefix))
    if not file_name:
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder / unique)
    address = folder / unique / file_name
    address.parent.mkdir(parents=True, exist_ok=True)
    return str(address)
