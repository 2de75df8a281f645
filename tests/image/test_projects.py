"""Projects of uv and Poetry, scripts, and requirements files: what they name is in the environment."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyte import Image
from flyte._image.environment import Environment
from flyte._image.scripts import is_allowed
from flyte._image.uv_calls import are_pinned, uv_program
from flyte.errors import ImageBuildError
from tests.image.conftest import image, output_of
from tests.image.registries import publish, registry
from tests.image.wheels import write_wheel

Build = Callable[[Image], Environment]

VERSIONS = (
    "from importlib.metadata import distributions as d; "
    "print(*sorted(f'{each.name}={each.version}' for each in d() if each.name.startswith('flytest')))"
)


def versions(environment: Environment) -> list[str]:
    """The packages of this test in an environment."""
    return output_of(environment, "-c", VERSIONS).split()


@pytest.fixture
def project(tmp_path: Path, links: Path) -> Path:
    """A project for uv, locked while `flytest_colour` 1.0 was the newest that fits."""
    folder = tmp_path / "project"
    (folder / "src" / "flytest_project").mkdir(parents=True)
    (folder / "src" / "flytest_project" / "__init__.py").write_text("name = 'project'\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "flytest-project"\nversion = "3"\nrequires-python = ">=3.11"\n'
        'dependencies = ["flytest-colour"]\n'
        '[project.optional-dependencies]\nwet = ["flytest-paint"]\n'
        '[dependency-groups]\ndev = ["flytest-tool"]\n'
        f'[tool.uv]\nno-index = true\nfind-links = ["{links}"]\n'
        '[build-system]\nrequires = ["flytest-backend"]\nbuild-backend = "flytest_backend"\n'
    )
    write_wheel(links, "flytest_tool")
    write_wheel(links, "flytest_backend", files={"flytest_backend.py": BACKEND})
    return folder


BACKEND = """
import pathlib, zipfile

def build_wheel(target, config_settings=None, metadata_directory=None):
    name = "flytest_project-3-py3-none-any.whl"
    info = "flytest_project-3.dist-info"
    pathlib.Path("left-behind.egg-info").mkdir()
    with zipfile.ZipFile(pathlib.Path(target, name), "w") as wheel:
        wheel.write("src/flytest_project/__init__.py", "flytest_project/__init__.py")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: flytest-project\\nVersion: 3\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


def lock(project: Path) -> None:
    subprocess.run([uv_program(), "lock", "--quiet"], cwd=project, check=True, capture_output=True)


def test_a_uv_project_is_installed_as_locked(build: Build, project: Path, links: Path) -> None:
    (links / "flytest_colour-2.0-py3-none-any.whl").rename(links / "later")
    lock(project)
    (links / "later").rename(links / "flytest_colour-2.0-py3-none-any.whl")
    environment = build(image().with_uv_project(project / "pyproject.toml", extra_args="--no-dev"))
    assert versions(environment) == ["flytest_colour=1.0"]
    chosen = build(image().with_uv_project(project / "pyproject.toml", extra_args="--extra wet"))
    assert versions(chosen) == ["flytest_colour=1.0", "flytest_paint=1.0", "flytest_tool=1.0"]


def test_a_uv_project_without_lock_is_resolved_now(build: Build, project: Path) -> None:
    environment = build(image().with_uv_project(project / "pyproject.toml"))
    assert versions(environment) == ["flytest_colour=2.0"]


@pytest.mark.parametrize("is_locked", [True, False])
def test_a_whole_project_is_installed_and_its_folder_stays_clean(build: Build, project: Path, is_locked: bool) -> None:
    if is_locked:
        lock(project)
    before = sorted(project.rglob("*"))
    layer = {"extra_args": "--no-dev" if is_locked else None, "project_install_mode": "install_project"}
    one = image().with_uv_project(project / "pyproject.toml", **layer)  # type: ignore[arg-type]
    # Also what is not chosen has a say in a lock file.
    assert versions(build(one)) == ["flytest-project=3", f"flytest_colour={'1.0' if is_locked else '2.0'}"]
    assert sorted(project.rglob("*")) == before


def test_a_wheel_that_is_not_the_locked_one_is_refused(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    project = tmp_path / "project"
    project.mkdir()
    with registry(tmp_path / "site") as url:
        publish(write_wheel(tmp_path / "site" / "flytest-colour", "flytest_colour", "4.0"))
        (project / "pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["flytest-colour"]\n'
            f'[[tool.uv.index]]\nurl = "{url}"\ndefault = true\n'
        )
        lock(project)
        forged = {"flytest_colour.py": "version = 'forged'\n"}
        publish(write_wheel(tmp_path / "site" / "flytest-colour", "flytest_colour", "4.0", files=forged))
        with pytest.raises(ImageBuildError, match=r"(?i)hash mismatch"):
            build(image().with_uv_project(project / "pyproject.toml"))


def test_a_lock_file_that_pins_another_flyte_is_refused(build: Build, project: Path, links: Path) -> None:
    write_wheel(links, "flyte", "2.12.1")
    manifest = project / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('"flytest-colour"', '"flytest-colour", "flyte"'))
    lock(project)
    with pytest.raises(ImageBuildError, match="Every environment holds the flyte that runs"):
        build(image().with_uv_project(manifest, extra_args="--no-dev"))


POETRY = """
[tool.poetry]
name = "p"
[tool.poetry.dependencies]
python = "^3.11"
flytest-paint = {version = "^1.0", markers = "python_version > '3'"}
flytest-unused = {version = "*", optional = true}
[tool.poetry.group.dev.dependencies]
flytest-tool = "*"
"""
POETRY_LOCK = """
[[package]]
name = "flytest-paint"
version = "1.0"
groups = ["main"]
files = []
[[package]]
name = "flytest-colour"
version = "1.0"
groups = ["main"]
markers = "python_version >= \\"3.11\\""
files = []
[[package]]
name = "flytest-tool"
version = "1.0"
groups = ["dev"]
files = []
[metadata]
lock-version = "2.1"
"""


def test_a_poetry_project_is_installed_as_locked_without_its_groups(
    build: Build, links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Poetry's files name no folder of wheels; uv takes it from here.
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    write_wheel(links, "flytest_colour", "1.5")
    (tmp_path / "pyproject.toml").write_text(POETRY)
    (tmp_path / "poetry.lock").write_text(POETRY_LOCK)
    assert versions(build(image().with_poetry_project(tmp_path / "pyproject.toml"))) == [
        "flytest_colour=1.0",
        "flytest_paint=1.0",
    ]


def test_a_poetry_project_in_its_own_words_needs_its_lock_file(build: Build, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(POETRY)
    with pytest.raises(ImageBuildError, match="no poetry.lock beside it: run `poetry lock`"):
        build(image().with_poetry_project(tmp_path / "pyproject.toml"))


def test_arguments_of_poetry_are_refused(build: Build, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(POETRY)
    with pytest.raises(ImageBuildError, match="'--with dev' are arguments of Poetry"):
        build(image().with_poetry_project(tmp_path / "pyproject.toml", extra_args="--with dev"))


def script(folder: Path, needs: str) -> Path:
    file = folder / "script.py"
    file.write_text(f"# /// script\n{needs}\n# ///\nprint('hello')\n")
    return file


def test_a_script_brings_what_it_names(build: Build, tmp_path: Path, only: dict[str, Any]) -> None:
    file = script(tmp_path, '# requires-python = ">=3.11"\n# dependencies = [\n#   "flytest_colour<2",\n# ]')
    assert versions(build(Image.from_uv_script(file, name="script", **only))) == ["flytest_colour=1.0"]


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ('# requires-python = ">=3.99"', "asks for Python >=3.99, the image has 3"),
        ("# dependencies = [", "is not TOML"),
        ("# [tool.uv]\n# exclude-newer = '2024-01-01T00:00:00Z'", r"has settings for uv \(exclude-newer\)"),
        ('# dependencies = "numpy"', "dependencies must be a list of texts, got 'numpy'"),
    ],
)
def test_a_script_that_cannot_be_honoured_says_why(build: Build, tmp_path: Path, needs: str, expected: str) -> None:
    with pytest.raises(ImageBuildError, match=expected):
        build(Image.from_uv_script(script(tmp_path, needs), name="script"))


@pytest.mark.parametrize(
    ("specifier", "allowed"),
    [
        (">=3.11", ["3.11", "3.12", "3.13"]),
        (">=3.12,<3.13", ["3.12"]),
        (">3.11", ["3.12", "3.13"]),
        (">3.11.2", ["3.11", "3.12", "3.13"]),
        ("<3.12.4", ["3.11", "3.12"]),
        ("<3.12.0", ["3.11"]),
        ("<=3.12", ["3.11", "3.12"]),
        ("~=3.12", ["3.12", "3.13"]),
        ("~=3.12.1", ["3.12"]),
        ("==3.12.*", ["3.12"]),
        ("==3.12.3", ["3.12"]),
        ("==3.*", ["3.11", "3.12", "3.13"]),
        ("!=3.12.*", ["3.11", "3.13"]),
        ("!=3.12.1", ["3.11", "3.12", "3.13"]),
        ("", ["3.11", "3.12", "3.13"]),
    ],
)
def test_a_specifier_allows_these_pythons(specifier: str, allowed: list[str]) -> None:
    assert [each for each in ("3.11", "3.12", "3.13") if is_allowed(each, specifier)] == allowed


@pytest.mark.parametrize(
    ("requirement", "is_pinned"),
    [
        ("a==1.0", True),
        ("a[b,c] == 1.0 ; python_version > '3'", True),
        ("a===1.0+cpu", True),
        ("a @ https://example.org/a-1.0.whl", True),
        ("/wheels/a-1.0-py3-none-any.whl", True),
        ("a", False),
        ("a>=1.0", False),
        ("a==1.*", False),
        ("a==1.0,!=1.0.1", False),
    ],
)
def test_what_names_one_version_is_taken_from_what_was_fetched_before(requirement: str, is_pinned: bool) -> None:
    assert are_pinned([requirement]) is is_pinned
    assert are_pinned(["b==1", requirement]) is is_pinned


def test_a_requirements_file_brings_what_it_names(build: Build, tmp_path: Path, only: dict[str, Any]) -> None:
    (tmp_path / "requirements.txt").write_text("# ours\nflytest_paint\n-c ./limits.txt\n")
    (tmp_path / "limits.txt").write_text("flytest_colour<1.5\n")
    assert versions(build(image().with_requirements(tmp_path / "requirements.txt", **only))) == [
        "flytest_colour=1.0",
        "flytest_paint=1.0",
    ]


def test_a_project_is_a_package_by_its_folder(
    build: Build, project: Path, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    before = sorted(project.rglob("*"))
    one = image().with_pip_packages("./project[wet]", extra_args="--no-index --find-links links")
    assert versions(build(one)) == ["flytest-project=3", "flytest_colour=1.0", "flytest_paint=1.0"]
    assert sorted(project.rglob("*")) == before
