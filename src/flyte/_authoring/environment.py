"""What declarations that run together share."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Literal, Optional, Tuple, Union

from flyte._authoring.expectations import expect
from flyte._authoring.image import Image
from flyte._authoring.pod import PodTemplate
from flyte._authoring.registry import register
from flyte._authoring.resources import Resources
from flyte._authoring.secret import SecretRequest
from flyte._authoring.settings import settle
from flyte.errors import TaskDefinitionError

MAX_DESCRIPTION = 255
_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_CUT = "..."


@dataclass(repr=False)
class Environment:
    """Software, resources and settings under one name; `TaskEnvironment` adds tasks.

    Attributes:
        name: Lower-case words joined by `_` or `-`. It may come again: the later declaration is another environment.
        depends_on: Environments whose tasks or apps this one calls, so that they are built and deployed with it.
        pod_template: Kubernetes settings, or their name on the control plane.
        description: At most 255 characters; the rest is cut off.
        secrets: Secrets given to each action.
        env_vars: Environment variables of each action.
        resources: What each action needs of a machine.
        interruptible: Actions may be moved off their machine and started again.
        image: The software; `auto` is `Image.from_debian_base()`.
        include: Further files for the code bundle, relative to the file of the declaration.
        service_account: The Kubernetes account of each action.

    Raises:
        TaskDefinitionError: a setting is of another type, or the name is none.
    """

    checked_settings: ClassVar[Tuple[str, ...]] = (
        "pod_template",
        "description",
        "secrets",
        "env_vars",
        "resources",
        "interruptible",
        "image",
        "service_account",
    )

    name: str
    depends_on: List[Environment] = field(default_factory=list)
    pod_template: Optional[Union[str, PodTemplate]] = None
    description: Optional[str] = None
    secrets: Optional[SecretRequest] = None
    env_vars: Optional[Dict[str, str]] = None
    resources: Optional[Resources] = None
    interruptible: bool = False
    image: Union[str, Image, Literal["auto"], None] = "auto"
    include: Tuple[str, ...] = ()
    service_account: Optional[str] = None

    def __post_init__(self) -> None:
        self._source_folder = _folder_of_declaration()
        try:
            self._check()
        except (TypeError, ValueError) as error:
            raise TaskDefinitionError(f"environment {self.name!r}: {error}") from None
        if self.description and len(self.description) > MAX_DESCRIPTION:
            self.description = self.description[: MAX_DESCRIPTION - len(_CUT)] + _CUT
        register(self)

    def _check(self) -> None:
        expect(isinstance(self.name, str), "the name", "a str", self.name)
        if not _NAME.fullmatch(self.name):
            near = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
            raise ValueError(
                "the name must be lower-case letters and digits in words joined by '-' or '_'"
                + (f"; use {near!r}" if near else "")
            )
        for setting in self.checked_settings:
            settle(setting, getattr(self, setting))
        expect(isinstance(self.depends_on, list | tuple), "depends_on", "a list of environments", self.depends_on)
        self.depends_on = list(self.depends_on)
        for each in self.depends_on:
            expect(isinstance(each, Environment), "depends_on", "a list of environments", each)
        expect(isinstance(self.include, list | tuple), "include", "a tuple of paths, each a str", self.include)
        self.include = tuple(self.include)
        for path in self.include:
            expect(isinstance(path, str), "include", "a tuple of paths, each a str", path)

    @property
    def include_paths(self) -> Tuple[Path, ...]:
        """`include`, anchored at the folder of the file that declares this environment."""
        return tuple(self._source_folder / path for path in self.include)

    def add_dependency(self, *env: Environment) -> None:
        """Extend `depends_on`; for environments that depend on one another, which no constructor can say.

        Raises:
            TaskDefinitionError: one is no environment, or is this one.
        """
        for each in env:
            if not isinstance(each, Environment):
                raise TaskDefinitionError(f"environment {self.name!r} can only depend on environments, got {each!r}")
            if each.name == self.name:
                raise TaskDefinitionError(f"environment {self.name!r} cannot depend on itself")
        self.depends_on.extend(env)

    def clone_with(
        self,
        name: str,
        image: Optional[Union[str, Image, Literal["auto"]]] = None,
        resources: Optional[Resources] = None,
        env_vars: Optional[Dict[str, str]] = None,
        secrets: Optional[SecretRequest] = None,
        depends_on: Optional[List[Environment]] = None,
        description: Optional[str] = None,
        **kwargs: Any,
    ) -> Environment:
        """A new environment with the settings of this one; each kind of environment says how.

        Raises:
            NotImplementedError: this kind does not.
        """
        raise NotImplementedError(f"{type(self).__name__} has no clone_with; declare another one")

    def __repr__(self) -> str:
        # Only the name: environments may depend on one another in a circle.
        return f"{type(self).__name__}({self.name!r})"


def _folder_of_declaration() -> Path:
    """The folder of the first file up the stack that is not ours; the working directory if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if not frame.f_globals.get("__name__", "").startswith("flyte.") and file.is_file():
            return file.resolve().parent
        if frame.f_back is None:
            break
        frame = frame.f_back
    return Path.cwd()
