"""What is in an environment, and how it is found again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flyte
from flyte import Image
from flyte._image.environment import RECORD, Environment, load_environment
from flyte._image.venv import ensure_environment, plan_of
from flyte.errors import ImageBuildError
from tests.image.conftest import image, output_of
from tests.image.wheels import write_wheel

Build = Callable[[Image], Environment]


def test_packages_are_in_the_environment_and_nothing_of_the_caller_is(build: Build, only: dict[str, Any]) -> None:
    environment = build(image().with_pip_packages("flytest_paint", **only))
    assert output_of(environment, "-c", "import flytest_paint; flytest_paint.main()") == "painted 1.0"
    assert output_of(environment, "-c", "import importlib.util as u; print(u.find_spec('pytest'))") == "None"


def test_commands_of_packages_run(build: Build, only: dict[str, Any]) -> None:
    environment = build(image().with_pip_packages("flytest_paint", **only))
    done = subprocess.run([environment.python.parent / "flytest-paint"], capture_output=True, text=True)
    assert done.stdout == "painted 1.0\n"


def test_this_very_flyte_is_in_every_environment(build: Build) -> None:
    environment = build(image())
    code = "import flyte, flyte._image.own_package as o; print(flyte.__version__, flyte.__file__, o.own_digest())"
    version, file, digest = output_of(environment, "-c", code).split()
    from flyte._image.own_package import own_digest

    assert environment.folder is not None
    assert (version, digest) == (flyte.__version__, own_digest())
    assert Path(file).is_relative_to(environment.folder)


def test_flyte_depends_on_the_versions_that_run(build: Build) -> None:
    from importlib.metadata import version

    names = ("protobuf", "cloudpickle", "pydantic", "flyteidl2")
    code = f"from importlib.metadata import version; print(*map(version, {names!r}))"
    assert output_of(build(image()), "-c", code).split() == [version(name) for name in names]


def test_an_environment_runs_tasks(build: Build, only: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "paint.py").write_text(
        "import flyte\nimport flytest_colour\n\nenv = flyte.TaskEnvironment('paint')\n\n\n@env.task\n"
        "def main() -> str:\n    return flytest_colour.version\n\n\n"
        "if __name__ == '__main__':\n    print(flyte.run(main).outputs()[0])\n"
    )
    environment = build(image().with_pip_packages("flytest_colour", **only))
    assert output_of(environment, str(tmp_path / "paint.py")) == "2.0"


def test_the_second_time_it_is_found_and_no_process_starts(
    build: Build, only: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(image().with_pip_packages("flytest_colour", **only))

    def start(*arguments: object, **options: object) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", start)
    assert build(image("another").with_pip_packages("flytest_colour", **only)) == first


def test_finding_one_imports_nothing_that_builds(build: Build, only: dict[str, Any], flyte_home: Path) -> None:
    build(image().with_pip_packages("flytest_colour", **only))
    heavy = "uv zipfile importlib.metadata pydantic rich click yaml google.protobuf sqlite3 tomllib flyte._run"
    program = (
        "import sys, pathlib, flyte\nfrom flyte._image.venv import ensure_environment\n"
        f"image = flyte.Image.from_debian_base(name='x').with_pip_packages('flytest_colour', **{only!r})\n"
        f"ensure_environment(image, home=pathlib.Path({str(flyte_home)!r}))\n"
        f"print(*sorted(set({heavy.split()!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_each_layer_makes_another_environment_and_names_and_secrets_do_not(tmp_path: Path) -> None:
    def key(one: Image) -> str | None:
        return plan_of(one).key

    plain = image().with_pip_packages("a")
    others = [
        image().with_pip_packages("b"),
        image().with_pip_packages("a", pre=True),
        plain.with_env_vars({"A": "1"}),
        plain.with_workdir("/app"),
        plain.with_commands(["true"]),
        Image.from_debian_base(
            python_version=(3, 13) if sys.version_info[:2] != (3, 13) else (3, 12), name="x"
        ).with_pip_packages("a"),
    ]
    assert len({key(plain), *map(key, others)}) == len(others) + 1
    assert key(Image.from_debian_base(name="x", registry="r").with_pip_packages("a")) == key(plain)
    assert key(image().with_pip_packages("a", secret_mounts="token")) == key(plain)


def test_what_a_named_wheel_holds_decides_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wheel = write_wheel(tmp_path / "dist", "flytest_own")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("-c constraints.txt\n./dist/flytest_own-1.0-py3-none-any.whl  # ours\n")
    (tmp_path / "constraints.txt").write_text("a==1\n")
    images = (
        image().with_pip_packages("./dist/flytest_own-1.0-py3-none-any.whl"),
        image().with_pip_packages(f"flytest_own @ {wheel.as_uri()}"),
        image().with_requirements("requirements.txt"),
    )
    before = [plan_of(each).key for each in images]
    assert before == [plan_of(each).key for each in images]
    write_wheel(tmp_path / "dist", "flytest_own", files={"flytest_own.py": "changed = True\n"})
    assert not set(before) & {plan_of(each).key for each in images}
    before_constraint = plan_of(images[2]).key
    (tmp_path / "constraints.txt").write_text("a==2\n")
    assert plan_of(images[2]).key != before_constraint


def test_default_image_is_the_interpreter_that_runs(build: Build, images: Path) -> None:
    for each in (Image.from_debian_base(), Image.from_debian_base().with_pip_packages()):
        environment = build(each)
        assert (environment.python, environment.folder) == (Path(sys.executable), None)
        assert environment.variables({"PATH": "/bin", "PYTHONPATH": "/x"}) == {"PATH": "/bin", "PYTHONPATH": "/x"}
    assert ensure_environment(None, home=images.parent).python == Path(sys.executable)
    assert [path.name for path in images.iterdir()] == [".wheels"]


def test_variables_and_working_folder_are_those_of_the_image(
    build: Build, only: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "__init__.py").write_text("corners = 3\n")
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "shapes" / "notes.log").write_text("not wanted")
    (tmp_path / ".dockerignore").write_text("*.log\n")
    environment = build(
        image()
        .with_dockerignore(tmp_path / ".dockerignore")
        .with_env_vars({"SHADE": "dark $HOME"})
        .with_workdir("/app")
        .with_source_folder(tmp_path / "shapes")
        .with_source_file(tmp_path / "settings.json", "conf")
    )
    assert environment.working_dir is not None
    assert environment.python_path == (environment.working_dir,)
    code = "import os, shapes; print(os.environ['SHADE'], shapes.corners, os.path.exists('conf/settings.json'))"
    assert output_of(environment, "-c", code) == "dark $HOME 3 True"
    assert sorted(path.name for path in (environment.working_dir / "shapes").iterdir()) == ["__init__.py"]


def test_commands_run_in_the_environment_and_pip_is_of_it(
    build: Build, links: Path, only: dict[str, Any], tmp_path: Path
) -> None:
    environment = build(
        image()
        .with_workdir("work")
        .with_env_vars({"SHADE": "dark"})
        .with_commands(
            [
                f"pip install --no-index --find-links {links} flytest_colour",
                "python -c \"import flytest_colour as c, os; print(c.version, os.environ['SHADE'])\" > seen.txt",
            ]
        )
    )
    assert environment.working_dir is not None
    assert (environment.working_dir / "seen.txt").read_text() == "2.0 dark\n"
    assert output_of(environment, "-c", "import flytest_colour; print(flytest_colour.version)") == "2.0"


def test_later_layers_keep_what_earlier_ones_installed(build: Build, only: dict[str, Any]) -> None:
    environment = build(
        image().with_pip_packages("flytest_colour==1.0", **only).with_pip_packages("flytest_paint", **only)
    )
    assert output_of(environment, "-c", "import flytest_colour; print(flytest_colour.version)") == "1.0"


def test_forcing_builds_anew_and_leaves_what_is_in_use(build: Build, only: dict[str, Any], flyte_home: Path) -> None:
    first = build(image())
    second = ensure_environment(image(), home=flyte_home, force=True)
    assert first.key == second.key
    assert first.folder != second.folder
    assert first.python.exists()
    assert build(image()) == second
    with subprocess.Popen([first.python, "-c", "input()"], stdin=subprocess.PIPE) as process:
        third = ensure_environment(image(), home=flyte_home, force=True)
        assert first.python.exists()
        process.communicate(b"\n")
    ensure_environment(image(), home=flyte_home, force=True)
    assert not first.python.exists()
    assert third.python.exists()


@pytest.mark.parametrize("damage", ["no note", "torn note", "other format", "no interpreter"])
def test_what_is_damaged_is_built_again(build: Build, flyte_home: Path, damage: str) -> None:
    first = build(image())
    assert first.folder is not None
    note = first.folder.parent / RECORD
    match damage:
        case "no note":
            note.unlink()
        case "torn note":
            note.write_bytes(note.read_bytes()[:100])
        case "other format":
            note.write_text(note.read_text().replace('"format": 1', '"format": 99'))
        case "no interpreter":
            first.python.unlink()
    assert load_environment(flyte_home, first.key) is None
    second = build(image())
    assert second.python.exists()
    assert not first.folder.exists()


def test_a_name_of_the_configuration_stands_for_an_address(flyte_home: Path) -> None:
    plan = plan_of(Image.from_ref_name("plain"), image_refs={"plain": "python:3.12-slim"})
    assert plan.python_version == "3.12"
    with pytest.raises(ImageBuildError, match=r"set image.image_refs.plain to the address of an image. It names other"):
        plan_of(Image.from_ref_name("plain"), image_refs={"other": "python:3.12"})


@pytest.mark.parametrize(
    ("base", "version"),
    [
        ("python:3.12", "3.12"),
        ("python:3.12.4-slim-bookworm", "3.12"),
        ("docker.io/library/python:3.13-trixie", "3.13"),
        (f"ghcr.io/flyteorg/flyte:py3.11-v{flyte.__version__}", "3.11"),
    ],
)
def test_a_base_that_is_python_alone_says_which(base: str, version: str) -> None:
    own = Image.from_base(base).clone(name="own", extendable=True)
    assert plan_of(own).python_version == version


def test_a_folder_of_an_environment_can_be_removed_by_hand(build: Build, images: Path) -> None:
    first = build(image())
    shutil.rmtree(images / first.key)
    assert build(image()).key == first.key


def test_a_home_with_blanks_and_a_long_name_is_one_like_any_other(
    only: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a home" / ("long " * 40).strip()
    (home / "images").mkdir(parents=True)
    monkeypatch.chdir(home.parent)
    environment = ensure_environment(image().with_pip_packages("flytest_paint", **only), home=Path(home.name))
    assert environment.python.is_absolute()
    done = subprocess.run([environment.python.parent / "flytest-paint"], capture_output=True, text=True)
    assert done.stdout == "painted 1.0\n"
