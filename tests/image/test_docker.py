"""Dockerfiles as texts, and what `docker` is called with: a script of that name writes it down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flyte
from flyte import Image, Secret
from flyte._image.docker import build_with_docker
from flyte._image.dockerfile import OWN_WHEEL, render_dockerfile
from flyte.errors import ImageBuildError
from tests.image.conftest import image
from tests.image.wheels import write_wheel

OWN = f"/opt/flyte/{OWN_WHEEL}"
HOME = "/root"
CACHE = "--mount=type=cache,target=/var/cache/uv,sharing=locked"
PYTHON = ".".join(map(str, sys.version_info[:2]))


def lines_of(one: Image) -> list[str]:
    """The lines of a Dockerfile between those of every one."""
    lines = render_dockerfile(one).splitlines()
    start = next(number for number, line in enumerate(lines) if line.endswith(f"uv pip install {OWN}"))
    return lines[start + 1 : -2]


def test_a_dockerfile_has_python_this_flyte_and_the_name_of_the_image() -> None:
    one = image()
    lines = render_dockerfile(one).splitlines()
    assert lines[:-2] == [
        "# syntax=docker/dockerfile:1",
        f"FROM python:{PYTHON}-slim-bookworm",
        "COPY --from=ghcr.io/astral-sh/uv:0.8 /uv /usr/local/bin/uv",
        'ENV VIRTUAL_ENV=/opt/venv PATH="/opt/venv/bin:$PATH" UV_LINK_MODE=copy UV_CACHE_DIR=/var/cache/uv',
        f"RUN {CACHE} uv venv --python {PYTHON} /opt/venv",
        "WORKDIR /root",
        f"COPY {OWN_WHEEL} /opt/flyte/",
        f"RUN {CACHE} uv pip install {OWN}",
    ]
    assert "a layer replaced flyte by another distribution of that name" in lines[-2]
    assert lines[-1] == f'ENV _F_IMG_ID="{one.uri}"'


def test_each_layer_has_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'p'\ndependencies = []\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "shapes").mkdir()
    (tmp_path / "a.txt").write_text("a")
    write_wheel(tmp_path / "dist", "flytest_own")
    one = (
        image()
        .with_apt_packages("git", "jq")
        .with_pip_packages("numpy<2", "it's", index_url="https://example.org/simple", pre=True, extra_args="--no-deps")
        .with_pip_packages("./dist/flytest_own-1.0-py3-none-any.whl")
        .with_requirements("requirements.txt", extra_index_urls=["https://one/", "https://two/"])
        .with_uv_project("pyproject.toml", extra_args="--extra gpu", project_install_mode="install_project")
        .with_env_vars({"A": 'dark "$HOME" \\'})
        .with_workdir("app")
        .with_source_folder(Path("shapes"))
        .with_source_file(Path("a.txt"), "conf")
        .with_commands(["echo $HOME", "echo one\necho two"])
        .with_code_bundle()
    )
    assert lines_of(one) == [
        "RUN apt-get update && apt-get install -y --no-install-recommends git jq && rm -rf /var/lib/apt/lists/*",
        f"RUN {CACHE} uv pip install {OWN} --index-url https://example.org/simple --prerelease allow --no-deps "
        "'numpy<2' 'it'\"'\"'s'",
        'COPY ["files/0/flytest_own-1.0-py3-none-any.whl", "/opt/files/0/flytest_own-1.0-py3-none-any.whl"]',
        f"RUN {CACHE} uv pip install {OWN} /opt/files/0/flytest_own-1.0-py3-none-any.whl",
        'COPY ["files/1/requirements.txt", "/opt/files/1/requirements.txt"]',
        f"RUN {CACHE} uv pip install {OWN} --extra-index-url https://one/ --extra-index-url https://two/ "
        "-r /opt/files/1/requirements.txt",
        'COPY ["files/2/pyproject.toml", "/opt/files/2/pyproject.toml"]',
        'COPY ["files/3/uv.lock", "/opt/files/2/uv.lock"]',
        f"RUN {CACHE} uv export --frozen --quiet --no-emit-project --project /opt/files/2 --extra gpu "
        "--output-file /opt/files/2/locked.txt",
        f"RUN {CACHE} uv pip install {OWN} -r /opt/files/2/locked.txt",
        f'COPY ["files/4/{tmp_path.name}", "/opt/files/4/{tmp_path.name}"]',
        f"RUN {CACHE} uv pip install {OWN} --no-deps /opt/files/4/{tmp_path.name}",
        'ENV A="dark \\"\\$HOME\\" \\\\"',
        f"WORKDIR {HOME}/app",
        f'COPY ["files/5/shapes", "{HOME}/app/shapes"]',
        f'ENV PYTHONPATH="{HOME}/app"',
        f'COPY ["files/6/a.txt", "{HOME}/app/conf/a.txt"]',
        "RUN echo $HOME",
        'RUN ["/bin/sh", "-c", "echo one\\necho two"]',
    ]


def test_the_text_is_the_same_in_every_process_and_folder(tmp_path: Path) -> None:
    texts = set()
    for name in ("a", "b"):
        folder = tmp_path / name / "project"
        folder.mkdir(parents=True)
        (folder / "requirements.txt").write_text("numpy\n")
        program = (
            "import flyte; from flyte._image.dockerfile import render_dockerfile as r; "
            "print(r(flyte.Image.from_debian_base(name='x').with_requirements('requirements.txt')))"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
        texts.add(done.stdout)
    assert len(texts) == 1


def test_scripts_and_poetry_projects_are_read_now(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("# /// script\n# dependencies = ['numpy>=2']\n# ///\n")
    (tmp_path / "pyproject.toml").write_text("[tool.poetry.dependencies]\npython = '^3.11'\nnumpy = '^2'\n")
    (tmp_path / "poetry.lock").write_text("[[package]]\nname = 'numpy'\nversion = '2.1'\n")
    assert lines_of(Image.from_uv_script(tmp_path / "s.py", name="s")) == [
        f"RUN {CACHE} uv pip install {OWN} 'numpy>=2'"
    ]
    assert lines_of(image().with_poetry_project(tmp_path / "pyproject.toml")) == [
        'COPY ["files/0/constraints.txt", "/opt/files/0/constraints.txt"]',
        f"RUN {CACHE} uv pip install {OWN} -c /opt/files/0/constraints.txt numpy",
    ]


def test_another_base_is_kept() -> None:
    one = Image.from_base("nvidia/cuda:12.4.1-runtime").clone(name="cuda", extendable=True, python_version=(3, 12))
    lines = render_dockerfile(one).splitlines()
    assert lines[1] == "FROM nvidia/cuda:12.4.1-runtime"
    assert f"RUN {CACHE} uv venv --python 3.12 /opt/venv" in lines


def test_secrets_are_mounted_and_nowhere_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "swordfish")
    one = (
        image()
        .with_pip_packages("numpy", secret_mounts=Secret("token"))
        .with_commands(["make"], secret_mounts=[Secret("key", group="ci", mount=Path("/etc/flyte/secrets"))])
    )
    assert lines_of(one) == [
        f"RUN {CACHE} --mount=type=secret,id=token,env=TOKEN uv pip install {OWN} numpy",
        "RUN --mount=type=secret,id=ci.key,target=/etc/flyte/secrets/ci.key make",
    ]
    assert "swordfish" not in render_dockerfile(one)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (image().with_pip_packages("a", index_url="https://ada:pw@example.org/"), "at example.org has credentials"),
        (image().with_pip_packages("a", extra_args="--find-links ."), "a path of this machine, which Docker does not"),
        (image().with_pip_packages("./nowhere.whl"), "which does not exist"),
        (image().with_env_vars({"A": "1\n2"}), "has several lines"),
        (Image.from_dockerfile("Dockerfile", registry="r", name="n"), "which is its Dockerfile"),
    ],
)
def test_what_cannot_be_written_down_is_refused(one: Image, expected: str) -> None:
    with pytest.raises(ImageBuildError, match=expected) as caught:
        render_dockerfile(one)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(("line", "named"), [("-r more.txt", "more.txt"), ("./a-1.0-py3-none-any.whl", "a-1.0")])
def test_requirements_that_name_other_files_are_refused(tmp_path: Path, line: str, named: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    (tmp_path / "more.txt").write_text("numpy\n")
    with pytest.raises(ImageBuildError, match=named):
        render_dockerfile(image().with_requirements(tmp_path / "requirements.txt"))


DOCKER = f"""#!{sys.executable}
import json, os, pathlib, sys
context = pathlib.Path(sys.argv[-1])
seen = {{
    "arguments": sys.argv[1:],
    "files": {{str(path.relative_to(context)): path.stat().st_size for path in context.rglob("*") if path.is_file()}},
    "secrets": {{name: value for name, value in os.environ.items() if name.startswith("FLYTE_BUILD_SECRET_")}},
}}
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(seen))
print("failed to solve: token", os.environ.get("FLYTE_BUILD_SECRET_TOKEN"))
sys.exit(int(os.environ.get("DOCKER_ENDS_WITH", "0")))
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` on the PATH; the file in which it writes what it saw."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "docker"
    script.write_text(DOCKER)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.json"))
    for name in [name for name in os.environ if name.startswith("FLYTE_DOCKER")]:
        monkeypatch.delenv(name)
    return tmp_path / "seen.json"


def build(one: Image, home: Path) -> str:
    return build_with_docker(one, home=home, say=lambda text: None)


def test_docker_gets_the_dockerfile_the_files_and_the_secrets(
    docker: Path, tmp_path: Path, flyte_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "swordfish")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "here", "6", "1", "aarch64")))
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "__init__.py").write_text("corners = 3\n")
    (tmp_path / "shapes" / "notes.log").write_text("not wanted")
    (tmp_path / ".dockerignore").write_text("*.log\n")
    one = (
        image()
        .with_dockerignore(tmp_path / ".dockerignore")
        .with_source_folder(tmp_path / "shapes")
        .with_commands(["make"], secret_mounts="token")
    )
    assert build(one, flyte_home) == one.uri
    seen = json.loads(docker.read_text())
    context = seen["arguments"][-1]
    assert seen["arguments"] == [
        *(
            "buildx",
            "build",
            "--tag",
            one.uri,
            "--platform",
            "linux/arm64",
            "--load",
            "--file",
            f"{context}/Dockerfile",
        ),
        *("--secret", "id=token,env=FLYTE_BUILD_SECRET_TOKEN", context),
    ]
    assert sorted(seen["files"]) == ["Dockerfile", "files/0/shapes/__init__.py", OWN_WHEEL]
    assert seen["secrets"] == {"FLYTE_BUILD_SECRET_TOKEN": "swordfish"}
    assert not Path(context).exists()


def test_an_image_with_a_registry_is_pushed_for_all_its_platforms(
    docker: Path, flyte_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_DOCKER_BUILDKIT_BUILDER_NAME", "big")
    monkeypatch.setenv("FLYTE_DOCKER_BUILDER_CACHE_FROM", "type=registry,ref=x")
    monkeypatch.setenv("FLYTE_DOCKER_BUILD_EXTRA_ARGS", "--network host")
    one = Image.from_debian_base(registry="ghcr.io/ada", name="digits")
    build(one, flyte_home)
    arguments = json.loads(docker.read_text())["arguments"]
    assert arguments[3:-1] == [
        *(one.uri, "--platform", "linux/amd64,linux/arm64", "--push", "--file", f"{arguments[-1]}/Dockerfile"),
        *("--builder", "big", "--cache-from", "type=registry,ref=x", "--network", "host"),
    ]


def test_a_dockerfile_is_built_as_it_is(docker: Path, tmp_path: Path, flyte_home: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "Dockerfile").write_text("FROM scratch\n")
    one = Image.from_dockerfile(tmp_path / "own" / "Dockerfile", registry="r", name="n")
    build(one, flyte_home)
    seen = json.loads(docker.read_text())
    assert seen["arguments"][-3:] == ["--file", str(tmp_path / "own" / "Dockerfile"), str(tmp_path / "own")]
    assert list(seen["files"]) == ["Dockerfile"]


def test_an_image_that_exists_is_left_to_docker(docker: Path, flyte_home: Path) -> None:
    assert build(Image.from_base("nvidia/cuda:12"), flyte_home) == "nvidia/cuda:12"
    assert not docker.exists()


def test_a_failing_build_is_told_in_the_words_of_docker(
    docker: Path, flyte_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_ENDS_WITH", "17")
    monkeypatch.setenv("TOKEN", "swordfish")
    with pytest.raises(ImageBuildError, match=r"docker cannot build digits:\w+:\nfailed to solve: token \*\*\*\*"):
        build(image().with_commands(["make"], secret_mounts="token"), flyte_home)


def test_a_docker_without_buildx_is_told(docker: Path, flyte_home: Path) -> None:
    script = docker.parent / "bin" / "docker"
    script.write_text("#!/bin/sh\necho 'unknown flag: --tag'\nexit 125\n")
    with pytest.raises(ImageBuildError, match="This Docker has no buildx: install the plugin"):
        build(image(), flyte_home)


def test_without_docker_the_way_out_is_named(flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImageBuildError, match=r"no `docker` on the PATH.*`flyte build --image-builder venv`"):
        build(image(), flyte_home)


def test_the_configuration_names_the_builder_and_the_registry(
    docker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_IMAGE_BUILDER", "docker")
    monkeypatch.setenv("FLYTE_IMAGE_REGISTRY", "ghcr.io/ada")
    monkeypatch.chdir(tmp_path)
    uri = flyte.build(image()).uri
    assert uri is not None
    assert uri.startswith("ghcr.io/ada/digits:")
    assert uri in json.loads(docker.read_text())["arguments"]
