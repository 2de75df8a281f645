"""The steps by which an image is made from its base.

A layer says what makes it differ from others as JSON values, in which files stand for their contents: the same software
has the same identity in every process and every folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Union

from flyte._authoring.file_digests import digest_of_file, digest_of_folder
from flyte._authoring.image_arguments import ProjectInstallMode
from flyte._authoring.secret import Secret
from flyte.errors import ImageBuildError

_SCRIPT_METADATA = re.compile(r"^# /// script\s*$", re.MULTILINE)


@dataclass(frozen=True)
class PipOptions:
    """Where packages come from, in the words of pip."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    pre: bool = False
    extra_args: str | None = None

    def identity(self) -> dict[str, Any]:
        """The options that are set."""
        options = {
            "index_url": self.index_url,
            "extra_index_urls": list(self.extra_index_urls),
            "pre": self.pre,
            "extra_args": self.extra_args,
        }
        return {name: value for name, value in options.items() if value}


@dataclass(frozen=True)
class Layer:
    """One step."""

    kind: ClassVar[str]

    def identity(self) -> dict[str, Any]:
        """What makes this layer differ from others of its kind.

        Secrets are no part of it: they open the way to the software, and are not in it.

        Raises:
            ImageBuildError: a file that it needs is missing.
        """
        raise NotImplementedError

    def files(self) -> Iterator[Path]:
        """Files and folders that building it reads."""
        return iter(())

    def validate(self) -> None:
        """Check that what it reads is there and is what it should be.

        Raises:
            ImageBuildError: it is not.
        """
        for path in self.files():
            if not path.exists():
                raise ImageBuildError(f"image layer {self.kind}: {path.absolute()} does not exist")


@dataclass(frozen=True)
class PipPackages(Layer):
    """Packages by requirement."""

    kind: ClassVar[str] = "pip_packages"
    packages: tuple[str, ...]
    options: PipOptions = PipOptions()
    secret_mounts: tuple[Secret, ...] = ()

    def identity(self) -> dict[str, Any]:
        return {"packages": list(self.packages), **self.options.identity()}


@dataclass(frozen=True)
class Requirements(Layer):
    """The packages of a requirements file."""

    kind: ClassVar[str] = "requirements"
    file: Path
    options: PipOptions = PipOptions()
    secret_mounts: tuple[Secret, ...] = ()

    def identity(self) -> dict[str, Any]:
        return {"file": digest_of_file(self.file), **self.options.identity()}

    def files(self) -> Iterator[Path]:
        yield self.file


@dataclass(frozen=True)
class Project(Layer):
    """A project described by a manifest and, where there is one, a lock file.

    Attributes:
        manifest: The description.
        lock: The lock file; None takes the usual one beside the manifest if it is there.
        install_mode: Whether the project itself is installed, or only what it depends on.
    """

    usual_lock: ClassVar[str]
    manifest: Path
    lock: Path | None = None
    extra_args: str | None = None
    install_mode: ProjectInstallMode = "dependencies_only"
    secret_mounts: tuple[Secret, ...] = ()

    def lock_file(self) -> Path | None:
        """The lock file that is used."""
        if self.lock is not None:
            return self.lock
        usual = self.manifest.parent / self.usual_lock
        return usual if usual.exists() else None

    def identity(self) -> dict[str, Any]:
        lock = self.lock_file()
        whole = self.install_mode == "install_project"
        return {
            "manifest": digest_of_file(self.manifest),
            "lock": None if lock is None else digest_of_file(lock),
            "extra_args": self.extra_args,
            "project": digest_of_folder(self.manifest.parent) if whole else None,
        }

    def files(self) -> Iterator[Path]:
        yield self.manifest
        if self.lock is not None:
            yield self.lock


@dataclass(frozen=True)
class UVProject(Project):
    """A project for uv."""

    kind: ClassVar[str] = "uv_project"
    usual_lock: ClassVar[str] = "uv.lock"
    options: PipOptions = PipOptions()

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), **self.options.identity()}


@dataclass(frozen=True)
class PoetryProject(Project):
    """A project for Poetry."""

    kind: ClassVar[str] = "poetry_project"
    usual_lock: ClassVar[str] = "poetry.lock"


@dataclass(frozen=True)
class PixiProject(Project):
    """A project for pixi, in one of its environments."""

    kind: ClassVar[str] = "pixi_project"
    usual_lock: ClassVar[str] = "pixi.lock"
    environment: str = "default"

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "environment": self.environment}


@dataclass(frozen=True)
class Script(Layer):
    """The packages that a script names in the metadata at its top (PEP 723)."""

    script: Path
    secret_mounts: tuple[Secret, ...] = ()

    def identity(self) -> dict[str, Any]:
        return {"script": digest_of_file(self.script)}

    def files(self) -> Iterator[Path]:
        yield self.script

    def validate(self) -> None:
        super().validate()
        if not _SCRIPT_METADATA.search(self.script.read_text()):
            raise ImageBuildError(
                f"image layer {self.kind}: {self.script.absolute()} has no '# /// script' block that names its packages"
            )


@dataclass(frozen=True)
class UVScript(Script):
    """Installed with uv."""

    kind: ClassVar[str] = "uv_script"
    options: PipOptions = PipOptions()

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), **self.options.identity()}


@dataclass(frozen=True)
class PixiScript(Script):
    """Installed with pixi, in one of its environments."""

    kind: ClassVar[str] = "pixi_script"
    environment: str = "default"
    extra_args: str | None = None

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "environment": self.environment, "extra_args": self.extra_args}


@dataclass(frozen=True)
class AptPackages(Layer):
    """Packages of the operating system."""

    kind: ClassVar[str] = "apt_packages"
    packages: tuple[str, ...]
    secret_mounts: tuple[Secret, ...] = ()

    def identity(self) -> dict[str, Any]:
        return {"packages": list(self.packages)}


@dataclass(frozen=True)
class Commands(Layer):
    """Shell commands."""

    kind: ClassVar[str] = "commands"
    commands: tuple[str, ...]
    secret_mounts: tuple[Secret, ...] = ()

    def identity(self) -> dict[str, Any]:
        return {"commands": list(self.commands)}


@dataclass(frozen=True)
class EnvVars(Layer):
    """Environment variables."""

    kind: ClassVar[str] = "env_vars"
    env_vars: tuple[tuple[str, str], ...]

    def identity(self) -> dict[str, Any]:
        return {"env_vars": dict(self.env_vars)}


@dataclass(frozen=True)
class WorkDir(Layer):
    """The working directory."""

    kind: ClassVar[str] = "workdir"
    workdir: str

    def identity(self) -> dict[str, Any]:
        return {"workdir": self.workdir}


@dataclass(frozen=True)
class SourceFolder(Layer):
    """A copied folder; `dst` is where its contents go."""

    kind: ClassVar[str] = "source_folder"
    src: Path
    dst: str

    def identity(self) -> dict[str, Any]:
        return {"src": digest_of_folder(self.src), "dst": self.dst}

    def files(self) -> Iterator[Path]:
        yield self.src


@dataclass(frozen=True)
class SourceFiles(Layer):
    """Copied files; `dst` is the folder they go to."""

    kind: ClassVar[str] = "source_files"
    src: tuple[Path, ...]
    dst: str

    def identity(self) -> dict[str, Any]:
        return {"src": {path.name: digest_of_file(path) for path in self.src}, "dst": self.dst}

    def files(self) -> Iterator[Path]:
        yield from self.src


@dataclass(frozen=True)
class DockerIgnore(Layer):
    """Patterns of files that are not copied."""

    kind: ClassVar[str] = "dockerignore"
    path: Path

    def identity(self) -> dict[str, Any]:
        return {"path": digest_of_file(self.path)}

    def files(self) -> Iterator[Path]:
        yield self.path


@dataclass(frozen=True)
class BakedCode(Layer):
    """The user's code, for runs that do not send it as a bundle; left out for those that do."""

    kind: ClassVar[str] = "code_bundle"
    copy_style: Literal["loaded_modules", "all"]
    dst: str

    def identity(self) -> dict[str, Any]:
        return {"copy_style": self.copy_style, "dst": self.dst}


StrOrMany = Union[str, list[str], tuple[str, ...], None]


def pip_options(index_url: str | None, extra_index_urls: StrOrMany, pre: bool, extra_args: str | None) -> PipOptions:
    """The options, with one extra index or several."""
    extra = (extra_index_urls,) if isinstance(extra_index_urls, str) else tuple(extra_index_urls or ())
    return PipOptions(index_url, extra, pre, extra_args)
