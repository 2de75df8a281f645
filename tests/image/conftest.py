"""A folder of wheels, and environments that are built from it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyte import Image
from flyte._image.environment import FOLDER, Environment
from flyte._image.venv import ensure_environment
from tests.image.wheels import write_wheel

Build = Callable[[Image], Environment]


@pytest.fixture(scope="session")
def own_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own-wheels")


@pytest.fixture(autouse=True)
def images(flyte_home: Path, own_wheels: Path) -> Path:
    """The folder of environments. The wheel of this package is shared, or uv would unpack and keep it for each test."""
    folder = flyte_home / FOLDER
    folder.mkdir()
    (folder / ".wheels").symlink_to(own_wheels)
    return folder


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """Wheels to install from: `colour` 1.0 and 2.0, and `paint`, which needs it and has a command."""
    folder = tmp_path / "links"
    write_wheel(folder, "flytest_colour", "1.0")
    write_wheel(folder, "flytest_colour", "2.0")
    paint = {"flytest_paint.py": "import flytest_colour\n\ndef main():\n    print('painted', flytest_colour.version)\n"}
    write_wheel(
        folder,
        "flytest_paint",
        requires=["flytest_colour<2"],
        files=paint,
        scripts={"flytest-paint": "flytest_paint:main"},
    )
    return folder


@pytest.fixture
def only(links: Path) -> dict[str, Any]:
    """Options of a layer that installs from these wheels and nowhere else."""
    return {"extra_args": f"--no-index --find-links {links}"}


@pytest.fixture
def build(flyte_home: Path) -> Build:
    """Build, and tell what is done."""

    def ensure(image: Image) -> Environment:
        return ensure_environment(image, home=flyte_home, say=lambda text: None)

    return ensure


def output_of(environment: Environment, *arguments: str) -> str:
    """What a process in an environment prints, started as an executor starts one."""
    done = subprocess.run(
        [environment.python, *arguments],
        env=environment.variables(os.environ),
        cwd=environment.working_dir,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def image(name: str = "digits") -> Image:
    """An image of its own, without layers."""
    return Image.from_debian_base(name=name)
