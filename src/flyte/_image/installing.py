"""Each layer of an image, carried out in an environment that is being made."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flyte._authoring.image_layers import (
    Commands,
    EnvVars,
    Layer,
    PipPackages,
    PoetryProject,
    Project,
    Requirements,
    SourceFiles,
    SourceFolder,
    UVProject,
    UVScript,
    WorkDir,
)
from flyte._image.build_secrets import secret_values
from flyte._image.copied_files import copy_file, copy_folder, place_in
from flyte._image.environment import ROOT, Environment
from flyte._image.ignore_patterns import IgnorePatterns
from flyte._image.local_paths import local_path_of, with_absolute_path, words_of
from flyte._image.own_package import running_versions
from flyte._image.poetry_locks import poetry_requirements
from flyte._image.processes import run
from flyte._image.scripts import check_python, script_needs
from flyte._image.uv_calls import (
    Uv,
    are_pinned,
    arguments_of,
    building_variables,
    failure_text,
    uv_program,
    without_credentials,
)
from flyte.errors import ImageBuildError

_NOTHING_IGNORED = IgnorePatterns(())
_TOOLS = "tools"


@dataclass
class Site:
    """An environment that is being made, and what its layers said so far.

    Attributes:
        folder: The environment.
        home: Where the secrets of this machine are.
        say: Told what is being done.
        working_dir: Of the image; None until a layer says.
    """

    folder: Path
    home: Path
    python_version: str
    uv: Uv
    say: Callable[[str], None]
    ignored: IgnorePatterns = _NOTHING_IGNORED
    env_vars: dict[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    has_sources: bool = False
    copied_projects: int = 0

    @property
    def root(self) -> Path:
        """What stands for `/` of the image."""
        return self.folder / ROOT

    def place(self, path: str) -> Path:
        """Where a path of the image is."""
        return place_in(self.root, self.working_dir or "/", path)

    def carry_out(self, layer: Layer) -> None:
        """The layer is in the environment.

        Raises:
            ImageBuildError: it cannot be.
            OSError: files cannot be copied.
        """
        match layer:
            case PipPackages():
                self._install_packages(layer)
            case Requirements():
                self._install_requirements(layer)
            case UVProject():
                self._install_uv_project(layer)
            case PoetryProject():
                self._install_poetry_project(layer)
            case UVScript():
                self._install_script(layer)
            case Commands():
                self._run_commands(layer)
            case EnvVars():
                self.env_vars |= dict(layer.env_vars)
            case WorkDir():
                self.working_dir = str(Path("/", self.working_dir or "", layer.workdir))
                self.place(".").mkdir(parents=True, exist_ok=True)
            case SourceFolder():
                self.has_sources = True
                copy_folder(layer.src, self.place(layer.dst), self.ignored)
            case SourceFiles():
                self.has_sources = True
                for file in layer.src:
                    copy_file(file, self.place(layer.dst) / file.name)

    def _tell(self, text: str) -> None:
        self.say(without_credentials(text))

    def _install_packages(self, layer: PipPackages) -> None:
        here = Path.cwd()
        self._tell(f"installing {', '.join(layer.packages)}")
        packages = [self._from_anywhere(package, here) for package in layer.packages]
        arguments = arguments_of(layer.options, here)
        secrets = secret_values(layer, self.home)
        self.uv.install(packages, arguments=arguments, secrets=secrets, is_pinned=are_pinned(packages))

    def _from_anywhere(self, package: str, folder: Path) -> str:
        path = local_path_of(package, folder)
        if path is not None and not path.exists():
            raise ImageBuildError(
                f"image layer pip_packages: {package!r} names {path.absolute()}, which does not exist"
            )
        # Building a project leaves files in its folder, which is not ours.
        copy = self._copy_of_project(path) if path is not None and path.is_dir() else None
        return with_absolute_path(package, folder, copy)

    def _copy_of_project(self, folder: Path) -> Path:
        self.copied_projects += 1
        target = self.folder / _TOOLS / f"projects-{self.copied_projects}" / folder.resolve().name
        copy_folder(folder, target, _NOTHING_IGNORED)
        return target

    def _install_requirements(self, layer: Requirements) -> None:
        self._tell(f"installing the packages of {layer.file}")
        arguments: list[str | Path] = [*arguments_of(layer.options, Path.cwd()), "-r", layer.file.resolve()]
        folder = layer.file.resolve().parent
        self.uv.install([], arguments=arguments, secrets=secret_values(layer, self.home), folder=folder)

    def _install_uv_project(self, layer: UVProject) -> None:
        self._tell(f"installing the project {layer.manifest}")
        secrets = secret_values(layer, self.home)
        folder = layer.manifest.resolve().parent
        options = arguments_of(layer.options, Path.cwd())
        chosen = words_of(layer.extra_args)
        if lock := layer.lock_file():
            locked = self._locked(layer.manifest, lock, chosen, secrets)
            self.uv.install(locked, arguments=options, secrets=secrets, folder=folder, is_pinned=True)
        else:
            arguments: list[str | Path] = [*options, "-r", layer.manifest.resolve(), *chosen]
            self.uv.install([], arguments=arguments, secrets=secrets, folder=folder)
        self._install_whole(layer, options, secrets)

    def _locked(self, manifest: Path, lock: Path, chosen: list[str], secrets: dict[str, str]) -> list[str]:
        """What a `uv.lock` holds, as pinned requirements with their hashes."""
        folder = self.folder / _TOOLS / "project"
        copy_file(manifest, folder / "pyproject.toml")
        copy_file(lock, folder / "uv.lock")
        options = ("--frozen", "--quiet", "--no-emit-project", "--python")
        command: list[str | Path] = [uv_program(), "export", *options, self.uv.python, *chosen]
        finished = run(command, variables=building_variables(secrets), folder=folder)
        if finished.return_code:
            raise ImageBuildError(failure_text(f"{lock.absolute()} cannot be read", finished, secrets))
        return finished.output.splitlines()

    def _install_poetry_project(self, layer: PoetryProject) -> None:
        self._tell(f"installing the project {layer.manifest}")
        secrets = secret_values(layer, self.home)
        needs = poetry_requirements(layer.manifest, layer.lock_file())
        constraints = self.folder / _TOOLS / "poetry-constraints.txt"
        constraints.parent.mkdir(parents=True, exist_ok=True)
        constraints.write_text("".join(f"{each}\n" for each in needs.constraints), "utf-8")
        is_locked = bool(needs.constraints)
        self.uv.install(needs.requirements, arguments=["-c", constraints], secrets=secrets, is_pinned=is_locked)
        self._install_whole(layer, [], secrets)

    def _install_whole(self, layer: Project, options: list[str], secrets: dict[str, str]) -> None:
        if layer.install_mode == "install_project":
            folder = layer.manifest.resolve().parent
            project = self._copy_of_project(folder)
            self.uv.install([str(project)], arguments=[*options, "--no-deps"], secrets=secrets, folder=folder)

    def _install_script(self, layer: UVScript) -> None:
        self._tell(f"installing what {layer.script} names")
        needs = script_needs(layer.script)
        check_python(needs, layer.script, self.python_version)
        arguments = arguments_of(layer.options, Path.cwd())
        self.uv.install(
            needs.dependencies,
            arguments=arguments,
            secrets=secret_values(layer, self.home),
            is_pinned=are_pinned(needs.dependencies),
        )

    def _run_commands(self, layer: Commands) -> None:
        secrets = secret_values(layer, self.home)
        folder = self.place(".")
        folder.mkdir(parents=True, exist_ok=True)
        environment = Environment("", self.uv.python, self.env_vars, folder=self.folder)
        variables = environment.variables(building_variables(secrets))
        # Of the environment itself first; then uv in place of a `pip` that would change another Python.
        own = str(self.uv.python.parent)
        variables["PATH"] = variables["PATH"].replace(own, f"{own}:{self._stand_ins()}", 1)
        for command in layer.commands:
            self._tell(f"running {command}")
            finished = run(["/bin/sh", "-c", command], variables=variables, folder=folder)
            if finished.return_code:
                raise ImageBuildError(
                    failure_text(
                        f"image layer commands: {command!r} ended with {finished.return_code}", finished, secrets
                    )
                )

    def _stand_ins(self) -> Path:
        folder = self.folder / _TOOLS / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        for name, words in {"pip": "pip ", "pip3": "pip ", "uv": ""}.items():
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(uv_program())} {words}"$@"\n')
            script.chmod(0o755)
        return folder


def install_own_package(uv: Uv, tools: Path) -> None:
    """This package is there with what it depends on: at the versions that run where those can be had.

    Values that one interpreter pickles, another one reads: they had better agree on the libraries.

    Raises:
        ImageBuildError: what it depends on cannot be installed.
    """
    pins = tools / "running-versions.txt"
    pins.parent.mkdir(parents=True, exist_ok=True)
    pins.write_text("".join(f"{each}\n" for each in running_versions()), "utf-8")
    for network in (["--offline"], []):
        if uv.try_install(arguments=["-c", pins, *network]):
            return
    uv.install([])


def tools_of(folder: Path) -> Path:
    """What building alone needs."""
    return folder / _TOOLS
