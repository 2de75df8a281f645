"""The context of serialization and its entry point."""

from __future__ import annotations

import pytest

from flyte.models import SerializationContext


@pytest.mark.parametrize(
    ("interpreter", "entrypoint"),
    [
        ("/opt/venv/bin/python", "/opt/venv/_bin/runtime.py"),
        ("/usr/bin/python3", "/usr/_bin/runtime.py"),
        ("python", "_bin/runtime.py"),
        ("bin/python", "_bin/runtime.py"),
        ("", "_bin/runtime.py"),
        ("/python", "/_bin/runtime.py"),
    ],
)
def test_entrypoint_of_a_given_interpreter(interpreter: str, entrypoint: str) -> None:
    assert SerializationContext("v").get_entrypoint_path(interpreter) == entrypoint


def test_entrypoint_of_the_contexts_own_interpreter() -> None:
    assert SerializationContext("v").get_entrypoint_path() == "/opt/venv/bin/runtime.py"
    assert SerializationContext("v", interpreter_path="/x/python").get_entrypoint_path() == "/x/runtime.py"


def test_context_can_be_changed_and_has_no_hash() -> None:
    context = SerializationContext(version="v", project="p")
    context.version = "w"
    assert context == SerializationContext("w", "p")
    with pytest.raises(TypeError, match="unhashable"):
        hash(context)
