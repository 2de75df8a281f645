"""What goes wrong while an image is built: told in the words of what failed, and with nothing half-made left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import flyte
from flyte import Image, Secret
from flyte._image.environment import Environment
from flyte._image.venv import ensure_environment, plan_of
from flyte.errors import ImageBuildError
from tests.image.conftest import image, output_of
from tests.image.registries import registry
from tests.image.wheels import write_wheel

Build = Callable[[Image], Environment]


def refusal(build: Build, one: Image) -> str:
    """Why an image cannot be built."""
    with pytest.raises(ImageBuildError) as caught:
        build(one)
    return str(caught.value)


def attempts(images: Path) -> list[Path]:
    """The folders that builds have left, complete or not."""
    return [path for path in images.glob("*/*") if path.parent.name[0] != "."]


def test_a_package_that_does_not_exist_is_told_in_the_resolvers_words(
    build: Build, only: dict[str, Any], images: Path
) -> None:
    text = refusal(build, image().with_pip_packages("flytest_nowhere", **only))
    assert "flytest-nowhere was not found" in text
    assert attempts(images) == []


def test_versions_that_exclude_each_other_are_told_in_the_resolvers_words(build: Build, only: dict[str, Any]) -> None:
    text = refusal(build, image().with_pip_packages("flytest_paint", "flytest_colour>=2", **only))
    assert "flytest-paint" in text
    assert "depend on flytest-colour<2" in text
    assert "leave flyte out" not in text


def test_a_missing_file_is_named(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for one in (
        image().with_requirements("requirements.txt"),
        image().with_uv_project("requirements.txt"),
        Image.from_uv_script("requirements.txt", name="script"),
        image().with_source_file(Path("requirements.txt")),
    ):
        assert f"{tmp_path}/requirements.txt does not exist" in refusal(build, one)
    text = refusal(build, image().with_pip_packages("./dist/a-1.0-py3-none-any.whl"))
    assert f"{tmp_path}/dist/a-1.0-py3-none-any.whl" in text


def test_a_requirements_file_that_cannot_be_read_says_which_line(build: Build, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flytest_colour\n=== what\n")
    text = refusal(build, image().with_requirements(tmp_path / "requirements.txt"))
    assert "requirements.txt:2:1" in text


def test_a_python_that_cannot_be_had_is_told_with_those_that_are_there(
    build: Build, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    text = refusal(build, Image.from_debian_base(python_version=(3, 99), name="future"))
    found = ".".join(map(str, sys.version_info[:2]))
    assert "Python 3.99 cannot be had. Found on this machine:" in text
    assert found in text.partition("machine:")[2].partition("\n")[0]
    assert attempts(images) == []


def test_an_old_python_is_refused(build: Build) -> None:
    old = Image.from_debian_base(python_version=(3, 10), install_flyte=False, name="old")
    assert "the image has Python 3.10: Flyte needs Python 3.11 or newer" in refusal(build, old)


def test_a_command_that_fails_shows_what_it_said(build: Build, images: Path) -> None:
    text = refusal(build, image().with_commands(["echo first", "echo second; echo third >&2; exit 7", "echo never"]))
    assert "'echo second; echo third >&2; exit 7' ended with 7" in text
    assert "second\nthird" in text
    assert "never" not in text.replace("echo never", "")
    assert attempts(images) == []


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (
            image().with_apt_packages("git", "jq"),
            "git, jq: packages of the operating system.*`apt-get install git jq`",
        ),
        (image().with_commands(["apt-get update && apt-get install -y git"]), "changes this machine.*Run `apt-get`"),
        (image().with_commands(["cd /tmp; sudo rm x"]), "changes this machine.*Run `sudo`"),
        (image().with_pixi_project("pixi.toml"), "conda packages.*with_uv_project"),
        (Image.from_dockerfile("Dockerfile", registry="r", name="n"), "only Docker can do what a Dockerfile says"),
        (
            Image.from_base("nvidia/cuda:12.4.1-runtime"),
            "starts from 'nvidia/cuda:12.4.1-runtime'.*--image-builder docker",
        ),
        (Image.from_base("python:3.12-alpine"), "starts from 'python:3.12-alpine'"),
        (
            Image.from_debian_base(flyte_version="2.12.1", name="x"),
            "which has flyte 2.12.1; an environment has the flyte",
        ),
        (Image.from_ref_name("gpu"), "image 'gpu' is not in the configuration: set image.image_refs.gpu"),
        (image().with_pip_packages("a", extra_args="--find-links 'x"), "cannot be split into arguments: No closing"),
        (image().with_pip_packages("--pre"), "'--pre' is an option and no package: give it with extra_args="),
        (image().with_pip_packages("-e ."), "an environment is shared and never changes"),
        (Image.from_debian_base(name="x", platform=("linux/arm64",)), "the image is for linux/arm64"),
    ],
)
def test_what_an_environment_cannot_hold_is_refused_with_the_way_out(
    one: Image, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "here", "6", "1", "x86_64")))
    with pytest.raises(ImageBuildError, match=expected):
        plan_of(one)


@pytest.mark.parametrize("asked", ["flyte", "flyte>=0.0.1", f"flyte=={flyte.__version__}", "Flyte", "flytest_plugin"])
def test_a_requirement_named_flyte_means_the_flyte_that_runs(
    build: Build, links: Path, only: dict[str, Any], asked: str
) -> None:
    write_wheel(links, "flyte", "2.12.1")
    write_wheel(links, "flytest_plugin", requires=["flyte"])
    environment = build(image().with_pip_packages(asked, **only))
    assert output_of(environment, "-c", "import flyte; print(flyte.__version__)") == flyte.__version__


@pytest.mark.parametrize("asked", ["flyte==2.12.1", "flyte>=2", "flytest_plugin"])
def test_another_distribution_named_flyte_is_never_installed(
    build: Build, links: Path, only: dict[str, Any], images: Path, asked: str
) -> None:
    write_wheel(links, "flyte", "2.12.1")
    write_wheel(links, "flytest_plugin", requires=["flyte>=2"])
    text = refusal(build, image().with_pip_packages(asked, **only))
    assert f"Every environment holds the flyte that runs, {flyte.__version__}" in text
    assert attempts(images) == []


def test_another_flyte_by_path_is_never_installed(build: Build, links: Path) -> None:
    wheel = write_wheel(links, "flyte", "2.12.1")
    refusal(build, image().with_pip_packages(str(wheel)))
    refusal(build, image().with_pip_packages(f"flyte @ {wheel.as_uri()}"))


def test_a_command_that_installs_another_flyte_fails_the_build(build: Build, links: Path, images: Path) -> None:
    wheel = write_wheel(links, "flyte", "2.12.1")
    text = refusal(build, image().with_commands([f"pip install --no-deps {wheel}"]))
    assert "replaced flyte" in text
    assert attempts(images) == []


def test_a_secret_reaches_the_command_alone(build: Build, flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN", "swordfish")
    secret = Secret("registry-token", as_env_var="REGISTRY_TOKEN")
    environment = build(image().with_commands(['test "$REGISTRY_TOKEN" = swordfish'], secret_mounts=[secret]))
    assert environment.folder is not None
    notes = [path for path in environment.folder.parent.iterdir() if path.is_file()]
    assert notes
    assert not [path for path in notes if "swordfish" in path.read_text()]
    failing = image().with_commands(["echo token is $REGISTRY_TOKEN; exit 1"], secret_mounts=[secret])
    text = refusal(build, failing)
    assert "token is ****" in text
    assert "swordfish" not in text


def test_a_secret_kept_on_this_machine_is_used_and_a_missing_one_named(build: Build, flyte_home: Path) -> None:
    from flyte._store.secrets import SecretStore

    SecretStore(flyte_home).put("token", None, b"swordfish")
    build(image().with_commands(['test "$TOKEN" = swordfish'], secret_mounts="token"))
    text = refusal(build, image().with_commands(["true"], secret_mounts="other"))
    assert "needs the secret 'other': set the environment variable OTHER" in text


def test_credentials_in_addresses_are_not_told(build: Build, flyte_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    url = "http://ada:swordfish@127.0.0.1:9/simple"
    one = image().with_pip_packages("flytest_nowhere", index_url=url)
    assert "swordfish" not in refusal(build, one)
    told: list[str] = []
    named = image().with_pip_packages("flytest_nowhere @ http://ada:swordfish@127.0.0.1:9/flytest_nowhere-1.0.tar.gz")
    with pytest.raises(ImageBuildError) as caught:
        ensure_environment(named, home=flyte_home, say=told.append)
    assert "installing flytest_nowhere @ http://****@127.0.0.1:9/flytest_nowhere-1.0.tar.gz" in told
    assert "swordfish" not in str(caught.value)


PROGRAM = """
import sys
from pathlib import Path
import flyte
from flyte._image.venv import ensure_environment

home, *commands = sys.argv[1:]
image = flyte.Image.from_debian_base(name="digits").with_commands(commands)
print(ensure_environment(image, home=Path(home)).folder)
"""


def start(home: Path, *commands: str, **variables: str) -> subprocess.Popen[str]:
    """A process that builds an image with these commands."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), *commands],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_build_an_image_once(flyte_home: Path, tmp_path: Path) -> None:
    count = f"echo x >> {tmp_path}/count"
    processes = [start(flyte_home, count) for _ in range(3)]
    outputs = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(outputs) == 1
    assert (tmp_path / "count").read_text() == "x\n"


def test_a_build_that_is_killed_leaves_nothing_that_is_used(flyte_home: Path, images: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    die = f"if [ -e {mark} ]; then exit 0; fi; touch {mark}; kill -9 $PPID; echo late > late.txt"
    killed = start(flyte_home, "echo early > early.txt", die)
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    (left,) = attempts(images)
    again = start(flyte_home, "echo early > early.txt", die)
    output, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    built = Path(output.strip())
    assert built != left
    assert sorted(attempts(images)) == sorted([built, built.parent / "environment.json"])
    assert not (built / "root" / "late.txt").exists()


@pytest.mark.parametrize("point", ["file.before_write", "file.written"])
def test_a_build_that_is_killed_just_before_its_note_starts_over(flyte_home: Path, images: Path, point: str) -> None:
    # The wheel of this package is there already, or it would be the first file written.
    ensure_environment(image(), home=flyte_home)
    killed = start(flyte_home, "true", FLYTE_FAULT_POINT=f"{point}:1")
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    again = start(flyte_home, "true")
    assert again.communicate(timeout=120)[0].strip()
    assert not list(images.glob("*/.*.tmp"))


def can_mount() -> bool:
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    )


FULL = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import flyte
    from flyte._image.venv import ensure_environment
    from flyte.errors import ImageBuildError

    home, large, links = map(Path, sys.argv[1:])
    image = flyte.Image.from_debian_base(name="digits")
    for one in (
        image.with_source_file(large),
        image.with_pip_packages("flytest_large", extra_args=f"--no-cache --no-index --find-links {links}"),
        image.with_commands([f"cp {large} ."]),
    ):
        try:
            ensure_environment(one, home=home)
        except ImageBuildError as error:
            text = str(error)
            print("disk is full" in text or "No space left" in text, "flyte delete image" in text)
        print(sorted(path.name for path in home.glob("images/*/*") if path.parent.name[0] != "."))
    """
)


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
def test_a_full_disk_is_told_and_nothing_half_made_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(150 << 20))
    write_wheel(tmp_path / "links", "flytest_large", files={"flytest_large.bin": large.read_bytes()})
    mount = 'mount -t tmpfs -o size=200m tmpfs "$1" && "$2" -c "$3" "$1" "$4" "$5"'
    arguments = [str(tmp_path / "disk"), sys.executable, FULL, str(large), str(tmp_path / "links")]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["True True", "[]"] * 3, done.stderr


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageBuildError, match="Not a directory. FLYTE_HOME says where environments are kept"):
        ensure_environment(image(), home=tmp_path / "file")


def test_another_flyte_is_not_even_used_to_build_a_package(build: Build, links: Path, tmp_path: Path) -> None:
    write_wheel(links, "flyte", "2.12.1")
    project = tmp_path / "built"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "flytest-built"\nversion = "1"\n'
        '[build-system]\nrequires = ["flyte"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (project / "backend.py").write_text(
        "import importlib.metadata as m\n\n\n"
        "def build_wheel(*a, **k):\n    raise SystemExit('with ' + m.version('flyte'))\n"
    )
    text = refusal(build, image().with_pip_packages(str(project), extra_args=f"--find-links {links}"))
    assert f"with {flyte.__version__}" in text


def test_a_command_that_changes_a_package_changes_it_in_one_environment(build: Build, only: dict[str, Any]) -> None:
    plain = image().with_pip_packages("flytest_colour", **only)
    change = (
        "for file in $VIRTUAL_ENV/lib/python*/site-packages/flytest_colour.py; do echo 'version = 9' >> $file; done"
    )
    code = "import flytest_colour; print(flytest_colour.version)"
    assert output_of(build(plain.with_commands([change])), "-c", code) == "9"
    assert output_of(build(plain), "-c", code) == "2.0"


def test_an_interrupted_build_ends_its_command_and_leaves_nothing(
    flyte_home: Path, images: Path, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    process = start(flyte_home, f"echo $$ > {started}.new; mv {started}.new {started}; sleep 600 & wait")
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert not psutil.pid_exists(int(started.read_text()))
    assert attempts(images) == []


def test_packages_that_were_fetched_before_are_enough_without_a_network(
    build: Build, flyte_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    write_wheel(tmp_path / "site" / "flytest-colour", "flytest_colour", "3.0")
    with registry(tmp_path / "site") as url:
        one = image().with_pip_packages("flytest_colour", index_url=url)
        build(one)
    environment = ensure_environment(one, home=flyte_home, force=True)
    assert output_of(environment, "-c", "import flytest_colour; print(flytest_colour.version)") == "3.0"
    assert "Connection refused" in refusal(build, image().with_pip_packages("flytest_paint", index_url=url))


def test_files_that_change_while_they_are_built_are_noticed(
    build: Build, images: Path, only: dict[str, Any], tmp_path: Path
) -> None:
    source = tmp_path / "settings.txt"
    source.write_text("before")
    text = refusal(build, image().with_source_file(source).with_commands([f"echo after > {source}"]))
    assert "files of the image have changed while it was built" in text
    assert attempts(images) == []


def test_a_flyte_that_changed_since_the_process_started_is_not_packed(
    build: Build, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyte._image.own_package.own_digest", lambda: "0" * 64)
    assert "have changed since this process started" in refusal(build, image())


def test_without_uv_it_is_said_what_to_install(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    assert "uv, which makes environments, is not installed: `pip install uv`" in refusal(build, image())
