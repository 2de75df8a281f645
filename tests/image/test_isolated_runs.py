"""Isolated runs of tasks whose environments have images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.wheels import write_wheel

PROGRAM = """
import os, sys
import flyte

links = {links!r}
one = flyte.TaskEnvironment("one", image=flyte.Image.from_debian_base().with_pip_packages(
    "flytest_colour==1.0", extra_args=f"--no-index --find-links {{links}}"
).with_env_vars({{"PAINT": "thick"}}).with_workdir("/work"))
two = flyte.TaskEnvironment("two", depends_on=[one], image=flyte.Image.from_debian_base().with_pip_packages(
    "flytest_colour==2.0", extra_args=f"--no-index --find-links {{links}}"
), env_vars={{"PAINT": "thin"}})
broken = flyte.TaskEnvironment("broken", image=flyte.Image.from_debian_base().with_pip_packages(
    "flytest_nowhere", extra_args=f"--no-index --find-links {{links}}"
))
refused = flyte.TaskEnvironment("refused", image=flyte.Image.from_debian_base().with_apt_packages("vim"))


def seen() -> list[str]:
    import flytest_colour

    return [flytest_colour.version, os.environ["PAINT"], os.path.basename(os.getcwd()), sys.prefix]


@one.task
def in_one() -> list[str]:
    return seen()


@two.task
async def in_two() -> list[list[str]]:
    return [await in_one.aio(), seen()]


@broken.task
def never() -> int:
    return 1


@refused.task
def refused_task() -> int:
    return 1


if __name__ == "__main__":
    first, second = flyte.with_runcontext(isolated=True).run(in_two).outputs().o0
    print(*first[:3], *second[:3], len({{first[3], second[3], sys.prefix}}))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    links = tmp_path / "links"
    for version in ("1.0", "2.0"):
        write_wheel(links, "flytest_colour", version)
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(links=str(links)))
    return path


def test_each_task_has_the_packages_and_settings_of_its_image(program: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120, cwd=program.parent
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "flytest_colour==2.0" in line or "image" in line]
    assert done.stdout.split() == ["1.0", "thick", "work", "2.0", "thin", program.parent.name, "3"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("never", "flytest-nowhere was not found"),
        ("refused_task", "build with Docker"),
    ],
)
def test_an_image_that_cannot_be_built_fails_the_task_with_the_reason(program: Path, task: str, message: str) -> None:
    main = "from flyte.cli import main; main()"
    command = [sys.executable, "-c", main, "run", "--local", "--isolated", str(program), task]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "300"}, cwd=program.parent
    )
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
