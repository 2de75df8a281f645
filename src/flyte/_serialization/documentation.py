"""What a task and its environment say about themselves to people."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

from flyteidl2.task.environment_pb2 import Environment
from flyteidl2.task.task_definition_pb2 import DocumentationEntity, SourceCode

from flyte._authoring.task import TaskTemplate
from flyte._docstring import Docstring
from flyte._serialization.source_links import link_to_source

MAX_NAME = 63
MAX_SHORT = 255
MAX_LONG = 2048
_CUT = "..."


def documentation_of(task: TaskTemplate[Any, Any, Any]) -> DocumentationEntity:
    """`docs`, which are the docstring unless something else was given, in two parts, and where the code is shown."""
    text = Docstring(task.docs.description) if task.docs is not None else task.interface.docstring
    link = _source_link(task)
    return DocumentationEntity(
        short_description=_cut(text.short_description if text else None, MAX_SHORT),
        long_description=_cut(text.long_description if text else None, MAX_LONG),
        source_code=SourceCode(link=link) if link else None,
    )


def environment_of(task: TaskTemplate[Any, Any, Any], *, described: bool) -> Environment | None:
    """Name and description; None for a task that belongs to no environment."""
    environment = task.parent_env() if task.parent_env is not None else None
    name = environment.name if environment is not None else task.parent_env_name
    if name is None:
        return None
    description = environment.description if described and environment is not None else None
    return Environment(name=name[:MAX_NAME], description=description)


def _source_link(task: TaskTemplate[Any, Any, Any]) -> str | None:
    function = getattr(task, "func", None)
    code = None if function is None else getattr(unwrap(function), "__code__", None)
    return None if code is None else link_to_source(code.co_filename, code.co_firstlineno)


def _cut(text: str | None, length: int) -> str | None:
    return text if text is None or len(text) <= length else text[: length - len(_CUT)] + _CUT
