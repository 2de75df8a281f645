"""What the scenarios of an official client share: how one is declared, and a scratch file that task processes share.

Each module `client_*.py` beside this one is plain user code of Flyte 2: tasks, and functions that run them and check
what comes of it.
"""

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

Scenario = Callable[[], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """The function is a scenario of its name, such as `cache hit`; it raises where something is not as it should be."""
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def equal(found: object, expected: object, what: str = "value") -> None:
    """Nothing when both are equal.

    Raises:
        AssertionError: they are not.
    """
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, expected {expected!r}")


def fresh_file() -> str:
    """The name of a file that is not there, below the current folder of the driver."""
    return str(Path.cwd() / "scratch" / uuid.uuid4().hex)


def note(path: str, text: str = "x") -> int:
    """One more line in a file; how many it has now."""
    Path(path).parent.mkdir(exist_ok=True)
    with open(path, "a") as file:
        file.write(f"{text}\n")
    return len(noted(path))


def noted(path: str) -> list[str]:
    """The lines of the file; none where it is not there."""
    return Path(path).read_text().splitlines() if Path(path).exists() else []
