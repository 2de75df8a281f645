"""An image in the words of Docker: a Dockerfile, and the files that go with it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from flyte._authoring.image import Image
from flyte._authoring.image_arguments import dotted
from flyte._authoring.image_layers import (
    AptPackages,
    BakedCode,
    Commands,
    EnvVars,
    Layer,
    PipOptions,
    PipPackages,
    PixiProject,
    PixiScript,
    PoetryProject,
    Project,
    Requirements,
    SourceFiles,
    SourceFolder,
    UVProject,
    UVScript,
    WorkDir,
)
from flyte._image.bases import is_python_alone
from flyte._image.build_secrets import secrets_of_layer
from flyte._image.local_paths import local_path_of, paths_in_arguments, paths_named_in, with_absolute_path, words_of
from flyte._image.own_package import NAME
from flyte._image.poetry_locks import poetry_requirements
from flyte._image.scripts import check_python, script_needs
from flyte._version import __version__
from flyte.errors import ImageBuildError

OWN_WHEEL = f"{NAME}-{__version__}-py3-none-any.whl"
_OWN_FOLDER = "/opt/flyte"
_UV_IMAGE = "ghcr.io/astral-sh/uv:0.8"
_CACHE = "--mount=type=cache,target=/var/cache/uv,sharing=locked"
_HOME = PurePosixPath("/root")
_CHECK = (
    "from importlib.metadata import distribution as d; "
    f"assert 'file://{_OWN_FOLDER}/' in (d('{NAME}').read_text('direct_url.json') or ''), "
    "'a layer replaced flyte by another distribution of that name'"
)


@dataclass(frozen=True, slots=True)
class ContextFile:
    """A file or folder that Docker gets.

    Attributes:
        name: Where in the build context.
        source: A path of this machine, or the content.
    """

    name: str
    source: Path | str


@dataclass
class Dockerfile:
    """What Docker is to do, line by line, and with which files."""

    lines: list[str] = field(default_factory=list)
    files: list[ContextFile] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The Dockerfile."""
        return "".join(f"{line}\n" for line in self.lines)

    def add(self, source: Path | str, name: str) -> str:
        """A file or folder goes along; its name in the build context, the same on every machine."""
        place = f"files/{len(self.files)}/{name}"
        self.files.append(ContextFile(place, source))
        return place

    def copy(self, source: Path | str, name: str, target: str) -> None:
        """It is copied to `target` in the image."""
        self.lines.append(f"COPY {json.dumps([self.add(source, name), target])}")


def render_dockerfile(image: Image) -> str:
    """The Dockerfile of an image, the same text in every process for the same image and files.

    Raises:
        ImageBuildError: it comes from a Dockerfile already, or holds what cannot be written down.
    """
    return dockerfile_of(image).text


def dockerfile_of(image: Image) -> Dockerfile:
    """The Dockerfile of an image and its files. This very Flyte is in it, and no other distribution of that name.

    Raises:
        ImageBuildError: as in `render_dockerfile`.
    """
    if image.dockerfile is not None:
        raise ImageBuildError(f"the image is built from {image.dockerfile}, which is its Dockerfile: read that.")
    image.validate()
    writer = _Writer(dotted(image.python_version), Dockerfile())
    writer.start(_base_of(image))
    for layer in image._layers:
        writer.write(layer)
    writer.dockerfile.lines += [
        f"RUN {_words('python', '-c', _CHECK)}",
        f"ENV _F_IMG_ID={_quoted(image.uri)}",
    ]
    return writer.dockerfile


def _base_of(image: Image) -> str:
    if image.base_image is None:
        raise ImageBuildError(f"image {image.name!r} has no base image: start from Image.from_debian_base().")
    # An image of Python alone for the one of Flyte: what is added is the Flyte that runs.
    return f"python:{dotted(image.python_version)}-slim-bookworm" if is_python_alone(image) else image.base_image


@dataclass
class _Writer:
    python_version: str
    dockerfile: Dockerfile
    working_dir: PurePosixPath = _HOME

    @property
    def lines(self) -> list[str]:
        return self.dockerfile.lines

    def start(self, base: str) -> None:
        self.dockerfile.lines += [
            "# syntax=docker/dockerfile:1",
            f"FROM {base}",
            f"COPY --from={_UV_IMAGE} /uv /usr/local/bin/uv",
            'ENV VIRTUAL_ENV=/opt/venv PATH="/opt/venv/bin:$PATH" UV_LINK_MODE=copy UV_CACHE_DIR=/var/cache/uv',
            f"RUN {_CACHE} uv venv --python {self.python_version} /opt/venv",
            f"WORKDIR {_HOME}",
            f"COPY {OWN_WHEEL} {_OWN_FOLDER}/",
        ]
        self._install([], [])

    def write(self, layer: Layer) -> None:
        """The lines of a layer."""
        match layer:
            case PipPackages():
                packages = [self._package(each) for each in layer.packages]
                self._install(packages, _options(layer.options), layer)
            case Requirements():
                self._requirements(layer)
            case UVProject():
                self._uv_project(layer)
            case PoetryProject():
                self._poetry_project(layer)
            case UVScript():
                needs = script_needs(layer.script)
                check_python(needs, layer.script, self.python_version)
                self._install(needs.dependencies, _options(layer.options), layer)
            case AptPackages():
                self._run(
                    "apt-get update && apt-get install -y --no-install-recommends "
                    f"{_words(*layer.packages)} && rm -rf /var/lib/apt/lists/*",
                    layer,
                )
            case Commands():
                for command in layer.commands:
                    self._run(command if "\n" not in command else json.dumps(["/bin/sh", "-c", command]), layer)
            case EnvVars():
                self.lines.extend(f"ENV {name}={_quoted(value)}" for name, value in layer.env_vars)
            case WorkDir():
                self.working_dir /= layer.workdir
                self.lines.append(f"WORKDIR {self.working_dir}")
            case SourceFolder():
                self._source(layer.src, layer.dst)
            case SourceFiles():
                for file in layer.src:
                    self._source(file, f"{layer.dst}/{file.name}")
            case PixiProject() | PixiScript():
                raise ImageBuildError(
                    f"image layer {layer.kind}: conda packages, which pixi installs, are not built here. Use packages "
                    f"of PyPI, or write a Dockerfile and Image.from_dockerfile(...)."
                )
            case BakedCode():
                # Runs bring the code; a build for those that do not is refused before.
                pass

    def _install(self, packages: Sequence[str], options: Sequence[str], layer: Layer | None = None) -> None:
        # With this package in each installation, nothing can take its place.
        words = _words("uv", "pip", "install", f"{_OWN_FOLDER}/{OWN_WHEEL}", *options, *packages)
        self._run(words, layer, _CACHE)

    def _run(self, command: str, layer: Layer | None, *mounts: str) -> None:
        secrets = [_secret_mount(secret) for secret in secrets_of_layer(layer)] if layer is not None else []
        self.lines.append(" ".join(("RUN", *mounts, *secrets, command)))

    def _package(self, package: str) -> str:
        path = local_path_of(package, Path.cwd())
        if path is None:
            return package
        if not path.exists():
            raise ImageBuildError(f"image layer pip_packages: {package!r} is {path.absolute()}, which does not exist")
        target = self._place(path, path.resolve().name)
        return with_absolute_path(package, Path.cwd(), target)

    def _place(self, source: Path | str, name: str) -> Path:
        target = f"/opt/files/{len(self.dockerfile.files)}/{name}"
        self.dockerfile.copy(source, name, target)
        return Path(target)

    def _requirements(self, layer: Requirements) -> None:
        if named := [str(path) for path in paths_named_in(layer.file)]:
            raise ImageBuildError(
                f"image layer requirements: {layer.file} names {', '.join(named)}, which Docker does not get. Put "
                f"their lines into it, or install them with with_pip_packages(<path>)."
            )
        target = self._place(layer.file, layer.file.name)
        self._install([], [*_options(layer.options), "-r", str(target)], layer)

    def _uv_project(self, layer: UVProject) -> None:
        options = _options(layer.options)
        chosen = words_of(layer.extra_args)
        lock = layer.lock_file()
        manifest = self._place(layer.manifest, "pyproject.toml")
        if lock is None:
            self._install([], [*options, "-r", str(manifest), *chosen], layer)
        else:
            self.dockerfile.copy(lock, "uv.lock", str(manifest.with_name("uv.lock")))
            locked = manifest.with_name("locked.txt")
            fixed = ("--frozen", "--quiet", "--no-emit-project", "--project", str(manifest.parent))
            self._run(_words("uv", "export", *fixed, *chosen, "--output-file", str(locked)), layer, _CACHE)
            self._install([], [*options, "-r", str(locked)], layer)
        self._whole(layer, options)

    def _poetry_project(self, layer: PoetryProject) -> None:
        needs = poetry_requirements(layer.manifest, layer.lock_file())
        constraints = self._place("".join(f"{each}\n" for each in needs.constraints), "constraints.txt")
        self._install(needs.requirements, ["-c", str(constraints)], layer)
        self._whole(layer, [])

    def _whole(self, layer: Project, options: list[str]) -> None:
        if layer.install_mode == "install_project":
            folder = layer.manifest.resolve().parent
            project = self._place(folder, folder.name)
            self._install([str(project)], [*options, "--no-deps"], layer)

    def _source(self, source: Path, target: str) -> None:
        self.dockerfile.copy(source, source.resolve().name, str(self.working_dir / target))
        path = f"ENV PYTHONPATH={_quoted(str(self.working_dir))}"
        if path not in self.lines:
            self.lines.append(path)


def secret_id(key: str, group: str | None) -> str:
    """What BuildKit calls a secret."""
    return f"{group}.{key}" if group else key


def _secret_mount(secret: object) -> str:
    from flyte._authoring.secret import Secret

    assert isinstance(secret, Secret)
    name = secret_id(secret.key, secret.group)
    if secret.as_env_var is None:
        return f"--mount=type=secret,id={name},target={secret.mount}/{name}"
    return f"--mount=type=secret,id={name},env={secret.as_env_var}"


def _options(options: PipOptions) -> list[str]:
    for url in (options.index_url, *options.extra_index_urls):
        if url and urlsplit(url).username is not None:
            raise ImageBuildError(
                f"the address of the index at {urlsplit(url).hostname} has credentials, which would be in the image. "
                f"Give the address without them, and UV_INDEX_URL, or a netrc, with secret_mounts=."
            )
    given = words_of(options.extra_args)
    if local := paths_in_arguments(options.extra_args, Path.cwd()):
        raise ImageBuildError(
            f"extra_args {options.extra_args!r} names {local[0]}, a path of this machine, which Docker does not get. "
            f"Install wheels with with_pip_packages(<path>)."
        )
    arguments = [] if options.index_url is None else ["--index-url", options.index_url]
    for url in options.extra_index_urls:
        arguments += ["--extra-index-url", url]
    return [*arguments, *(["--prerelease", "allow"] if options.pre else []), *given]


def _words(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


def _quoted(value: str) -> str:
    """A value of ENV, taken as it is: Docker would put variables into it."""
    if "\n" in value:
        raise ImageBuildError(f"the variable value {value!r} has several lines, which a Dockerfile cannot hold")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
