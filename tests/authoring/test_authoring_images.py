"""Images: how they are declared, and when they are the same."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flyte
from flyte import Image
from flyte.errors import ImageBuildError

untyped: Any = Image
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one file of each kind, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("requirements.txt", "pyproject.toml", "pixi.toml", "ignore", "Dockerfile", "src/a.py", "src/sub/b.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{name}\n")
    (tmp_path / "script.py").write_text("# /// script\n# dependencies = []\n# ///\n")
    return tmp_path


def base() -> Image:
    return Image.from_debian_base(name="mine", registry="registry.local/team")


def test_an_image_starts_with_one_of_its_constructors() -> None:
    with pytest.raises(TypeError, match=r"start with Image\.from_debian_base\(\)"):
        Image()


@pytest.mark.parametrize(
    ("image", "uri"),
    [
        (Image.from_debian_base(), f"ghcr.io/flyteorg/flyte:py{PYTHON}-v{flyte.__version__}"),
        (Image.from_debian_base((3, 12), "2.0.0"), "ghcr.io/flyteorg/flyte:py3.12-v2.0.0"),
        (Image.from_debian_base((3, 10), install_flyte=False), "python:3.10-slim-bookworm"),
        (Image.from_base("registry.local/x:1"), "registry.local/x:1"),
    ],
)
def test_an_image_without_changes_of_yours_is_its_base(image: Image, uri: str) -> None:
    assert image.uri == uri
    assert pickle.loads(pickle.dumps(image)) == image


@pytest.mark.parametrize(
    ("image", "prefix"),
    [
        (Image.from_debian_base(name="mine"), "mine:"),
        (Image.from_debian_base(registry="r"), "r/flyte:"),
        (base().with_pip_packages("numpy"), "registry.local/team/mine:"),
        (Image.from_debian_base().with_apt_packages("git"), "flyte:"),
        (Image.from_base("x").clone(name="y", extendable=True).with_commands(["ls"]), "y:"),
    ],
)
def test_an_image_of_your_own_is_tagged_with_its_identity(image: Image, prefix: str) -> None:
    assert image.uri.startswith(prefix)
    tag = image.uri.removeprefix(prefix)
    assert len(tag) == 32
    assert int(tag, 16) >= 0


LAYERS: dict[str, Callable[[Image], Image]] = {
    "pip": lambda image: image.with_pip_packages("numpy", "scipy>=1"),
    "pip order": lambda image: image.with_pip_packages("scipy>=1", "numpy"),
    "pip index": lambda image: image.with_pip_packages("numpy", "scipy>=1", index_url="https://index.local"),
    "pip pre": lambda image: image.with_pip_packages("numpy", "scipy>=1", pre=True),
    "requirements": lambda image: image.with_requirements("requirements.txt"),
    "uv": lambda image: image.with_uv_project("pyproject.toml"),
    "uv install": lambda image: image.with_uv_project("pyproject.toml", project_install_mode="install_project"),
    "poetry": lambda image: image.with_poetry_project("pyproject.toml"),
    "pixi": lambda image: image.with_pixi_project("pixi.toml"),
    "pixi environment": lambda image: image.with_pixi_project("pixi.toml", environment="gpu"),
    "apt": lambda image: image.with_apt_packages("git", "curl"),
    "commands": lambda image: image.with_commands(["ls", "pwd"]),
    "env": lambda image: image.with_env_vars({"A": "1"}),
    "workdir": lambda image: image.with_workdir("/app"),
    "folder": lambda image: image.with_source_folder(Path("src")),
    "folder contents": lambda image: image.with_source_folder(Path("src"), copy_contents_only=True),
    "file": lambda image: image.with_source_file(Path("src/a.py")),
    "files": lambda image: image.with_source_file([Path("src/a.py"), Path("pixi.toml")]),
    "ignore": lambda image: image.with_dockerignore(Path("ignore")),
    "code": lambda image: image.with_code_bundle(),
    "uv script": lambda image: Image.from_uv_script("script.py", name="mine", registry="registry.local/team"),
    "pixi script": lambda image: Image.from_pixi_script("script.py", name="mine", registry="registry.local/team"),
    "dockerfile": lambda image: Image.from_dockerfile("Dockerfile", "registry.local/team", "mine"),
}


def test_every_kind_of_layer_has_an_identity_of_its_own(files: Path) -> None:
    images = [base(), *(add(base()) for add in LAYERS.values())]
    assert len({image.uri for image in images}) == len(images)
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_same_declaration_is_the_same_image(kind: str, files: Path) -> None:
    once, again = LAYERS[kind](base()), LAYERS[kind](base())
    assert once == again
    assert hash(once) == hash(again)
    assert once.uri == again.uri == pickle.loads(pickle.dumps(once)).uri
    once.validate()


def test_the_identity_is_the_same_in_another_process_and_another_folder(files: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom flyte import Image\n"
        "here = Path(sys.argv[1])\n"
        "image = Image.from_debian_base(name='mine').with_source_folder(here / 'src')\n"
        "print(image.with_requirements(here / 'requirements.txt').uri)\n"
    )
    moved = tmp_path / "moved"
    (moved / "src/sub").mkdir(parents=True)
    for name in ("requirements.txt", "src/a.py", "src/sub/b.py"):
        (moved / name).write_text((files / name).read_text())
    (moved / "src/__pycache__").mkdir()
    (moved / "src/__pycache__/a.pyc").write_text("left behind")
    tags = [
        subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True).stdout
        for folder in (files, moved)
    ]
    assert tags[0] == tags[1]


@pytest.mark.parametrize(
    ("kind", "file"), [("requirements", "requirements.txt"), ("folder", "src/sub/b.py"), ("uv", "uv.lock")]
)
def test_the_identity_changes_with_what_is_in_the_files(kind: str, file: str, files: Path) -> None:
    image = LAYERS[kind](base())
    before = image.uri
    (files / file).write_text("other")
    assert image.uri != before


def test_secrets_are_not_part_of_the_identity(files: Path) -> None:
    assert base().with_pip_packages("a").uri == base().with_pip_packages("a", secret_mounts="token").uri


def test_adding_nothing_changes_nothing() -> None:
    image = base()
    assert image.with_pip_packages() == image.with_apt_packages() == image.with_commands([]) == image


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Image.from_base("x").with_pip_packages("a"), ValueError, "cannot be added to 'x'"),
        (lambda: Image.from_base("x").clone(extendable=True).with_pip_packages("a"), ValueError, "with a name"),
        (lambda: Image.from_ref_name("r").with_pip_packages("a"), ValueError, "cannot be added to 'r'"),
        (
            lambda: Image.from_dockerfile("D", "r", "n").with_pip_packages("a"),
            ValueError,
            "built from D; write it there",
        ),
        (lambda: Image.from_debian_base((3, 9)), ValueError, "python_version=(3, 9): Flyte needs Python 3.11 or newer"),
        (lambda: untyped.from_debian_base("3.12"), TypeError, "a pair such as (3, 12), got '3.12' (str)"),
        (lambda: untyped.from_debian_base(platform=("linux/arm",)), ValueError, "Did you mean 'linux/arm64'?"),
        (lambda: base().clone(name="My Image"), ValueError, "image name 'My Image' must be lower-case"),
        (lambda: base().clone(name="a:b"), ValueError, "the tag is computed"),
        (lambda: base().with_requirements("requirements.in"), ValueError, "'requirements.in' must end in .txt"),
        (lambda: untyped.with_commands(base(), "ls"), TypeError, "commands must be a list of str, got 'ls' (str)"),
        (lambda: base().with_pip_packages(""), TypeError, "pip packages must be non-empty strings, got ''"),
        (lambda: untyped.with_env_vars(base(), {"A": 1}), TypeError, "env_vars['A'] must be a str, got 1 (int)"),
        (lambda: base().with_workdir(""), TypeError, "workdir must be a non-empty str"),
        (
            lambda: base().with_source_file([Path("a/x"), Path("b/x")]),
            ValueError,
            "would overwrite each other in '.': x",
        ),
        (lambda: untyped.with_code_bundle(base(), "none"), ValueError, "copy_style must be 'loaded_modules' or 'all'"),
        (
            lambda: untyped.with_uv_project(base(), "pyproject.toml", project_install_mode="install_projet"),
            ValueError,
            "Did you mean 'install_project'?",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_when_it_is_made(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as refusal:
        make()
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "image",
    [
        base().with_requirements("missing.txt"),
        base().with_source_folder(Path("missing")),
        base().with_source_file(Path("missing.py")),
        base().with_uv_project("missing/pyproject.toml"),
        Image.from_uv_script("missing.py", name="a"),
        Image.from_dockerfile("missing", "r", "n"),
    ],
)
def test_a_missing_file_is_found_when_the_image_is_looked_at(image: Image, files: Path) -> None:
    for look in (lambda: image.uri, image.validate):
        with pytest.raises(ImageBuildError, match="missing"):
            look()


def test_a_script_without_metadata_is_not_valid(files: Path) -> None:
    with pytest.raises(ImageBuildError, match="a.py has no '# /// script' block"):
        Image.from_uv_script("src/a.py", name="a").validate()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.from_base(""), "is an environment variable unset?"),
        (Image.from_base("x").clone(registry="r"), r"has no name: image.clone\(name=...\)"),
        (Image.from_ref_name("gpu"), "set image.image_refs.gpu in the configuration, or pass --image gpu=<uri>"),
    ],
)
def test_an_image_that_has_no_address_says_how_to_give_it_one(image: Image, message: str) -> None:
    with pytest.raises(ImageBuildError, match=message):
        _ = image.uri


def test_a_clone_differs_only_in_what_was_given() -> None:
    image = base().with_pip_packages("a")
    clone = image.clone(name="other", platform="linux/arm64", registry_secret="token")
    assert (clone.name, clone.platform, clone.registry) == ("other", ("linux/arm64",), "registry.local/team")
    assert clone.uri.rpartition(":")[2] == image.uri.rpartition(":")[2]
