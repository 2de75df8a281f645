"""The software that a task needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Literal, Optional, Tuple, Union

from flyte._authoring.expectations import expect, expect_str_mapping
from flyte._authoring.file_digests import digest_of_file
from flyte._authoring.image_arguments import (
    OLDEST_PYTHON,
    Architecture,
    ProjectInstallMode,
    checked_name,
    dotted,
    install_mode_of,
    optional_path,
    platforms_of,
    python_version_of,
    running_python,
    strings_of,
)
from flyte._authoring.secret import Secret, SecretRequest, secrets_of
from flyte._version import __version__
from flyte.errors import ImageBuildError
from flyte.models.rich_repr import RichRepr

if TYPE_CHECKING:
    from flyte._authoring.image_layers import Layer

DEFAULT_NAME = "flyte"
DEFAULT_IMAGE = "ghcr.io/flyteorg/flyte"
PLAIN_PYTHON_IMAGE = "python"


@dataclass(frozen=True, init=False, repr=False)
class Image(RichRepr):
    """The software that a task needs: a base, and layers on it. Every method gives a new image.

    Declaring an image reads no file and builds nothing; files are looked at by `uri` and `validate`. Start with one of
    the `from_` methods.

    Attributes:
        base_image: Address of the base, or of the image itself when nothing is added.
        dockerfile: What the image is built from instead of a base.
        registry: Where the built image is pushed to.
        name: Name of the built image.
        platform: What machines it runs on.
        python_version: Version of Python in it, as major and minor.
        extendable: Layers may be added.

    Raises:
        TypeError: the class is called.
    """

    base_image: Optional[str] = None
    dockerfile: Optional[Path] = None
    registry: Optional[str] = None
    name: Optional[str] = None
    platform: Tuple[Architecture, ...] = ("linux/amd64",)
    python_version: Tuple[int, int] = OLDEST_PYTHON
    extendable: bool = False
    _is_cloned: bool = False
    _ref_name: Optional[str] = None
    _layers: Tuple[Layer, ...] = ()
    _image_registry_secret: Optional[Secret] = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise TypeError(
            "Image cannot be made directly; start with Image.from_debian_base(), Image.from_base(uri), "
            "Image.from_dockerfile(...), Image.from_uv_script(...) or Image.from_ref_name(name)"
        )

    @classmethod
    def _make(cls, **settings: Any) -> Image:
        image = object.__new__(cls)
        values = {field.name: field.default for field in fields(cls)} | {"python_version": running_python()} | settings
        for name, value in values.items():
            object.__setattr__(image, name, value)
        return image

    @classmethod
    def from_debian_base(
        cls,
        python_version: Optional[Tuple[int, int]] = None,
        flyte_version: Optional[str] = None,
        install_flyte: bool = True,
        registry: Optional[str] = None,
        registry_secret: Optional[str | Secret] = None,
        name: Optional[str] = None,
        platform: Optional[Tuple[Architecture, ...]] = None,
    ) -> Image:
        """Debian with Python and Flyte.

        Args:
            python_version: By default that of this interpreter.
            flyte_version: By default that of this installation.
            install_flyte: False for Python alone.
            registry: Where to push the image to; makes it an image of your own.
            registry_secret: Opens that registry.
            name: Name of the image; makes it an image of your own.
            platform: By default both.

        Raises:
            ValueError: Flyte does not run on that Python, or a name or platform is none.
        """
        version = python_version_of(python_version)
        if install_flyte and version < OLDEST_PYTHON:
            raise ValueError(f"python_version={version}: Flyte needs Python {dotted(OLDEST_PYTHON)} or newer")
        if install_flyte:
            base = f"{DEFAULT_IMAGE}:py{dotted(version)}-v{flyte_version or __version__}"
        else:
            base = f"{PLAIN_PYTHON_IMAGE}:{dotted(version)}-slim-bookworm"
        image = cls._make(
            base_image=base,
            name=DEFAULT_NAME,
            platform=platforms_of(platform),
            python_version=version,
            extendable=True,
        )
        if registry is None and name is None:
            return image
        return image.clone(registry=registry, registry_secret=registry_secret, name=name)

    @classmethod
    def from_base(cls, image_uri: str) -> Image:
        """An existing image, taken as it is."""
        return cls._make(base_image=image_uri)

    @classmethod
    def from_ref_name(cls, name: str = "default") -> Image:
        """The image that the configuration (`image.image_refs`), or `--image name=uri`, gives this name."""
        return cls._make(name=name, _ref_name=name)

    @classmethod
    def from_dockerfile(
        cls,
        file: Union[Path, str],
        registry: str,
        name: str,
        platform: Union[Architecture, Tuple[Architecture, ...], None] = None,
    ) -> Image:
        """An image built from a Dockerfile, which says everything: no layers can be added.

        Raises:
            ValueError: a name or platform is none.
        """
        chosen = platforms_of(platform) if platform else ("linux/amd64",)
        return cls._make(
            dockerfile=Path(file), registry=registry, name=checked_name(name), platform=chosen, _is_cloned=True
        )

    @classmethod
    def from_uv_script(
        cls,
        script: Path | str,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: Optional[str | Secret] = None,
        python_version: Optional[Tuple[int, int]] = None,
        index_url: Optional[str] = None,
        extra_index_urls: Union[str, List[str], Tuple[str, ...], None] = None,
        pre: bool = False,
        extra_args: Optional[str] = None,
        platform: Optional[Tuple[Architecture, ...]] = None,
        secret_mounts: Optional[SecretRequest] = None,
    ) -> Image:
        """What a script names in the metadata at its top (PEP 723), installed with uv.

        Raises:
            ValueError: a name or platform is none.
        """
        from flyte._authoring.image_layers import UVScript, pip_options

        options = pip_options(index_url, extra_index_urls, pre, extra_args)
        layer = UVScript(Path(script), secrets_of(secret_mounts, "secret_mounts"), options)
        base = cls.from_debian_base(python_version=python_version, install_flyte=False, platform=platform)
        return base.clone(registry=registry, registry_secret=registry_secret, name=name, addl_layer=layer)

    @classmethod
    def from_pixi_script(
        cls,
        script: Path | str,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: Optional[str | Secret] = None,
        environment: str = "default",
        extra_args: Optional[str] = None,
        platform: Optional[Tuple[Architecture, ...]] = None,
        secret_mounts: Optional[SecretRequest] = None,
    ) -> Image:
        """What a script names in the metadata at its top, installed with pixi.

        Raises:
            ValueError: a name or platform is none.
        """
        from flyte._authoring.image_layers import PixiScript

        layer = PixiScript(Path(script), secrets_of(secret_mounts, "secret_mounts"), environment, extra_args)
        base = cls.from_debian_base(install_flyte=False, platform=platform)
        return base.clone(registry=registry, registry_secret=registry_secret, name=name, addl_layer=layer)

    def clone(
        self,
        registry: Optional[str] = None,
        registry_secret: Optional[str | Secret] = None,
        name: Optional[str] = None,
        base_image: Optional[str] = None,
        python_version: Optional[Tuple[int, int]] = None,
        addl_layer: Optional[Layer] = None,
        extendable: Optional[bool] = None,
        platform: Union[Architecture, Tuple[Architecture, ...], None] = None,
    ) -> Image:
        """An image of your own like this one, with changes; None changes nothing.

        Args:
            registry: Where to push it to.
            registry_secret: Opens that registry.
            name: Its name.
            base_image: What it starts from.
            python_version: The Python in it.
            addl_layer: One more layer.
            extendable: Whether layers may be added; `True` opens an image that is not.
            platform: What machines it runs on.

        Raises:
            ValueError: a layer is added to an image that takes none or has no name; a name or platform is none.
        """
        changes = {
            "registry": registry,
            "name": None if name is None else checked_name(name),
            "base_image": base_image,
            "python_version": None if python_version is None else python_version_of(python_version),
            "extendable": extendable,
            "platform": None if platform is None else platforms_of(platform),
            "_image_registry_secret": secrets_of(registry_secret, "registry_secret")[0] if registry_secret else None,
            "_is_cloned": True,
        }
        clone = Image._make(**self.__dict__ | {field: value for field, value in changes.items() if value is not None})
        return clone if addl_layer is None else clone._with_layer(addl_layer)

    def _with_layer(self, layer: Layer) -> Image:
        if self.dockerfile is not None:
            raise ValueError(
                f"a layer ({layer.kind}) cannot be added to an image built from {self.dockerfile}; write it there"
            )
        if not self.extendable:
            raise ValueError(
                f"a layer ({layer.kind}) cannot be added to {self.base_image or self._ref_name!r}, which is taken as "
                f"it is. Open it first: image.clone(name=..., extendable=True)"
            )
        if self.name is None:
            raise ValueError(
                f"a layer ({layer.kind}) needs an image with a name: image.clone(name=..., extendable=True)"
            )
        return Image._make(**self.__dict__ | {"_is_cloned": True, "_layers": (*self._layers, layer)})

    @property
    def uri(self) -> str:
        """The address: of an existing image as given, else `[registry/]name:tag` with the identity as tag.

        Raises:
            ImageBuildError: there is no base or no name, or a file of a layer cannot be read.
        """
        if self._is_cloned:
            if not self.name:
                raise ImageBuildError(f"an image made from {self.base_image!r} has no name: image.clone(name=...)")
            return f"{self.registry}/{self.name}:{self._tag()}" if self.registry else f"{self.name}:{self._tag()}"
        if self.base_image:
            return self.base_image
        if self._ref_name:
            raise ImageBuildError(
                f"image {self._ref_name!r} has no address yet: set image.image_refs.{self._ref_name} in the "
                f"configuration, or pass --image {self._ref_name}=<uri>"
            )
        raise ImageBuildError(
            f"image has no base image (got {self.base_image!r}): Image.from_base() needs an address such as "
            f"'registry/name:tag'; is an environment variable unset?"
        )

    def _tag(self) -> str:
        identity = {
            "base_image": self.base_image,
            "dockerfile": None if self.dockerfile is None else digest_of_file(self.dockerfile),
            "layers": [[layer.kind, layer.identity()] for layer in self._layers],
        }
        return hashlib.md5(json.dumps(identity, sort_keys=True).encode(), usedforsecurity=False).hexdigest()

    def validate(self) -> None:
        """Check that every file the image is built from is there.

        Raises:
            ImageBuildError: one is not.
        """
        if self.dockerfile is not None and not self.dockerfile.is_file():
            raise ImageBuildError(f"Dockerfile {self.dockerfile.absolute()} does not exist")
        for layer in self._layers:
            layer.validate()

    def with_pip_packages(
        self,
        *packages: str,
        index_url: Optional[str] = None,
        extra_index_urls: Union[str, List[str], Tuple[str, ...], None] = None,
        pre: bool = False,
        extra_args: Optional[str] = None,
        secret_mounts: Optional[SecretRequest] = None,
    ) -> Image:
        """Add Python packages, each as pip would take it; none changes nothing."""
        from flyte._authoring.image_layers import PipPackages, pip_options

        if not (requirements := strings_of("pip packages", packages)):
            return self
        options = pip_options(index_url, extra_index_urls, pre, extra_args)
        return self._with_layer(PipPackages(requirements, options, secrets_of(secret_mounts, "secret_mounts")))

    def with_requirements(
        self,
        file: str | Path,
        index_url: Optional[str] = None,
        extra_index_urls: Union[str, List[str], Tuple[str, ...], None] = None,
        pre: bool = False,
        extra_args: Optional[str] = None,
        secret_mounts: Optional[SecretRequest] = None,
    ) -> Image:
        """Add the packages of a requirements file.

        Raises:
            ValueError: the file does not end in `.txt`.
        """
        from flyte._authoring.image_layers import Requirements, pip_options

        if Path(file).suffix != ".txt":
            raise ValueError(f"requirements file {str(file)!r} must end in .txt")
        options = pip_options(index_url, extra_index_urls, pre, extra_args)
        return self._with_layer(Requirements(Path(file), options, secrets_of(secret_mounts, "secret_mounts")))

    def with_uv_project(
        self,
        pyproject_file: str | Path,
        uvlock: Path | None = None,
        index_url: Optional[str] = None,
        extra_index_urls: Union[List[str], Tuple[str, ...], None] = None,
        pre: bool = False,
        extra_args: Optional[str] = None,
        secret_mounts: Optional[SecretRequest] = None,
        project_install_mode: ProjectInstallMode = "dependencies_only",
    ) -> Image:
        """Add a project for uv; its `uv.lock` is used if it lies beside."""
        from flyte._authoring.image_layers import UVProject, pip_options

        return self._with_layer(
            UVProject(
                Path(pyproject_file),
                optional_path(uvlock),
                extra_args,
                install_mode_of(project_install_mode),
                secrets_of(secret_mounts, "secret_mounts"),
                pip_options(index_url, extra_index_urls, pre, None),
            )
        )

    def with_poetry_project(
        self,
        pyproject_file: str | Path,
        poetry_lock: Path | None = None,
        extra_args: Optional[str] = None,
        secret_mounts: Optional[SecretRequest] = None,
        project_install_mode: ProjectInstallMode = "dependencies_only",
    ) -> Image:
        """Add a project for Poetry; its `poetry.lock` is used if it lies beside."""
        from flyte._authoring.image_layers import PoetryProject

        return self._with_layer(
            PoetryProject(
                Path(pyproject_file),
                optional_path(poetry_lock),
                extra_args,
                install_mode_of(project_install_mode),
                secrets_of(secret_mounts, "secret_mounts"),
            )
        )

    def with_pixi_project(
        self,
        manifest_file: str | Path,
        pixi_lock: Path | None = None,
        environment: str = "default",
        extra_args: Optional[str] = None,
        secret_mounts: Optional[SecretRequest] = None,
        project_install_mode: ProjectInstallMode = "dependencies_only",
    ) -> Image:
        """Add a project for pixi; its `pixi.lock` is used if it lies beside."""
        from flyte._authoring.image_layers import PixiProject

        return self._with_layer(
            PixiProject(
                Path(manifest_file),
                optional_path(pixi_lock),
                extra_args,
                install_mode_of(project_install_mode),
                secrets_of(secret_mounts, "secret_mounts"),
                environment,
            )
        )

    def with_apt_packages(self, *packages: str, secret_mounts: Optional[SecretRequest] = None) -> Image:
        """Add packages of the operating system; none changes nothing."""
        from flyte._authoring.image_layers import AptPackages

        if not (names := strings_of("apt packages", packages)):
            return self
        return self._with_layer(AptPackages(names, secrets_of(secret_mounts, "secret_mounts")))

    def with_commands(self, commands: List[str], secret_mounts: Optional[SecretRequest] = None) -> Image:
        """Run shell commands; an empty list changes nothing."""
        from flyte._authoring.image_layers import Commands

        expect(isinstance(commands, list | tuple), "commands", "a list of str", commands)
        if not (lines := strings_of("commands", commands)):
            return self
        return self._with_layer(Commands(lines, secrets_of(secret_mounts, "secret_mounts")))

    def with_env_vars(self, env_vars: Dict[str, str]) -> Image:
        """Set environment variables."""
        from flyte._authoring.image_layers import EnvVars

        expect_str_mapping("env_vars", env_vars)
        return self._with_layer(EnvVars(tuple(env_vars.items())))

    def with_workdir(self, workdir: str) -> Image:
        """Set the working directory."""
        from flyte._authoring.image_layers import WorkDir

        expect(isinstance(workdir, str) and workdir != "", "workdir", "a non-empty str", workdir)
        return self._with_layer(WorkDir(workdir))

    def with_source_folder(self, src: Path, dst: str = ".", copy_contents_only: bool = False) -> Image:
        """Copy a folder.

        Args:
            src: The folder.
            dst: Where to; `.` is the working directory.
            copy_contents_only: Copy what is in it right into `.`, and not into a folder of its name there.
        """
        from flyte._authoring.image_layers import SourceFolder

        source = Path(src)
        if dst == "." and not copy_contents_only:
            dst = f"./{source.name or source.resolve().name}"
        return self._with_layer(SourceFolder(source, dst))

    def with_source_file(self, src: Union[Path, List[Path]], dst: str = ".") -> Image:
        """Copy files into the folder `dst`.

        Raises:
            ValueError: two of them have the same name.
        """
        from flyte._authoring.image_layers import SourceFiles

        files = tuple(Path(each) for each in (src if isinstance(src, list | tuple) else [src]))
        names = [file.name for file in files]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"files of the same name would overwrite each other in {dst!r}: {', '.join(repeated)}")
        return self._with_layer(SourceFiles(files, dst))

    def with_code_bundle(
        self, copy_style: Literal["loaded_modules", "all"] = "loaded_modules", dst: str = "."
    ) -> Image:
        """Put the code into the image when runs do not bring it, that is with `copy_style="none"`.

        Raises:
            ValueError: there is no such style.
        """
        from flyte._authoring.image_layers import BakedCode

        if copy_style not in ("loaded_modules", "all"):
            raise ValueError(f"copy_style must be 'loaded_modules' or 'all', got {copy_style!r}")
        return self._with_layer(BakedCode(copy_style, dst))

    def with_dockerignore(self, path: Path) -> Image:
        """Leave out of the copied folders what this file lists."""
        from flyte._authoring.image_layers import DockerIgnore

        return self._with_layer(DockerIgnore(Path(path)))


ImageRequest = Union[str, Image, Literal["auto"], None]
"""What `image=` accepts: an address, an image, `auto` for `Image.from_debian_base()`, or None for no image."""


def image_of(request: ImageRequest) -> Image | None:
    """The image that `image=` means.

    Raises:
        TypeError: it is neither an address nor an image.
    """
    if request is None or isinstance(request, Image):
        return request
    expect(isinstance(request, str), "image", 'an address, a flyte.Image, "auto" or None', request)
    return Image.from_debian_base() if request == "auto" else Image.from_base(request)
