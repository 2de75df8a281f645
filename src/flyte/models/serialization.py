"""What is known while a task is turned into its serialized form."""

from __future__ import annotations

import os
import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from flyte.models.paths import CodeBundle

if TYPE_CHECKING:
    from typing import Any as ImageCache  # what the image builder hands on; opaque here


@dataclass
class SerializationContext:
    """The version and place under which a task is serialized, for a deployment or a run.

    Attributes:
        version: Version the task gets.
        code_bundle: The packed code that the task is found in.
        input_path: Where the task reads its inputs; by default the placeholder that the control plane fills in.
        output_path: Where the task writes its outputs; likewise.
        interpreter_path: The Python of the image.
        image_cache: Images by environment, as built.
        root_dir: Local folder that module names are relative to.
    """

    version: str
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    code_bundle: Optional[CodeBundle] = None
    input_path: str = "{{.input}}"
    output_path: str = "{{.outputPrefix}}"
    interpreter_path: str = "/opt/venv/bin/python"
    image_cache: ImageCache | None = None
    root_dir: Optional[pathlib.Path] = None

    def get_entrypoint_path(self, interpreter_path: str | None = None) -> str:
        """The script that starts a task.

        Args:
            interpreter_path: The script that belongs to this Python: `_bin/runtime.py`, beside the folder it is in.
                When not given, `runtime.py` in the very folder of the context's own `interpreter_path`.
        """
        if interpreter_path is None:
            return os.path.join(os.path.dirname(self.interpreter_path), "runtime.py")
        return os.path.join(os.path.dirname(os.path.dirname(interpreter_path)), "_bin/runtime.py")
