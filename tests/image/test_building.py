"""`flyte.build` and `flyte.build_images`: what they give, and with which builder."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

import flyte
from flyte import Image, ImageBuild
from flyte._authoring.image_cache import ImageCache
from flyte._image.building import find_environment
from flyte._image.environment import load_environment
from flyte.errors import ImageBuildError
from tests.image.conftest import image, output_of


@pytest.fixture(autouse=True)
def without_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", uv_cache())
    return folder


def uv_cache() -> str:
    import subprocess

    from flyte._image.uv_calls import uv_program

    return subprocess.run([uv_program(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


def test_building_gives_the_address_of_an_environment(flyte_home: Path, only: dict[str, Any]) -> None:
    built = flyte.build(image().with_pip_packages("flytest_colour", **only))
    assert isinstance(built, ImageBuild)
    assert built.uri is not None
    assert (built.remote_run, built.build_run) == (None, None)
    environment = find_environment(built.uri, home=flyte_home)
    assert output_of(environment, "-c", "import flytest_colour; print(flytest_colour.version)") == "2.0"


async def test_building_can_be_awaited(flyte_home: Path) -> None:
    built = await flyte.build.aio(image())
    assert built.uri is not None
    assert find_environment(built.uri, home=flyte_home).python.exists()


def test_a_dry_run_says_the_address_and_builds_nothing(flyte_home: Path, only: dict[str, Any]) -> None:
    one = image().with_pip_packages("flytest_nowhere", **only)
    uri = flyte.build(one, dry_run=True).uri
    assert uri is not None
    assert uri.startswith("venv:")
    assert load_environment(flyte_home, uri.removeprefix("venv:")) is None
    with pytest.raises(ImageBuildError, match="is not on this machine: `flyte build` builds it"):
        find_environment(uri, home=flyte_home)
    with pytest.raises(ImageBuildError, match="apt_packages"):
        flyte.build(one.with_apt_packages("git"), dry_run=True)


def test_the_default_image_has_its_own_address(flyte_home: Path) -> None:
    one = Image.from_debian_base()
    uri = flyte.build(one).uri
    assert uri == one.uri
    assert find_environment(uri, home=flyte_home).folder is None


def test_not_waiting_is_refused() -> None:
    with pytest.raises(ValueError, match="wait=False"):
        flyte.build(image(), wait=False)
    with pytest.raises(TypeError, match="image must be a flyte.Image"):
        flyte.build("python:3.12")  # type: ignore[arg-type]


def test_images_of_environments_and_of_what_they_depend_on_are_built(flyte_home: Path, only: dict[str, Any]) -> None:
    paint = flyte.TaskEnvironment("paint", image=image("paint").with_pip_packages("flytest_paint", **only))
    plain = flyte.TaskEnvironment("plain", depends_on=[paint])
    none = flyte.TaskEnvironment("none", image=None, depends_on=[plain])
    known = flyte.TaskEnvironment("known", image=image().with_apt_packages("never-built"))
    cache = flyte.build_images(none, known, seed_cache=ImageCache({"known": "kept"}))
    assert set(cache.image_lookup) == {"known", "plain", "paint"}
    assert cache.image_lookup["known"] == "kept"
    assert cache.image_lookup["plain"] == Image.from_debian_base().uri
    assert find_environment(cache.image_lookup["paint"], home=flyte_home).python.exists()
    assert ImageCache.from_transport(cache.to_transport) == cache


def test_code_that_has_to_be_in_the_image_is_refused_and_else_left_out() -> None:
    env = flyte.TaskEnvironment("baked", image=image().with_code_bundle())
    with pytest.raises(ImageBuildError, match="the code cannot be built in yet"):
        flyte.build_images(env, copy_style="none")
    assert flyte.build_images(env).image_lookup["baked"].startswith("venv:")
    with pytest.raises(ValueError, match="copy_style must be one of .* got 'al'.*all"):
        flyte.build_images(env, copy_style="al")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        ("remote", "there is no control plane that builds images"),
        ("local-podman", "Podman is not called"),
        ("dokcer", "expected one of 'local', 'venv', 'docker'.*docker"),
    ],
)
def test_a_builder_that_is_not_here_is_refused(builder: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_IMAGE_BUILDER", builder)
    with pytest.raises(ImageBuildError, match=expected):
        flyte.build(image())


def test_names_of_images_are_those_of_the_configuration(without_configuration: Path, flyte_home: Path) -> None:
    version = flyte.__version__
    (without_configuration / "config.yaml").write_text(
        f"image:\n  image_refs:\n    default: ghcr.io/flyteorg/flyte:py3.11-v{version}\n    gpu: nvidia/cuda:12\n"
    )
    assert flyte.build(Image.from_ref_name()).uri == f"ghcr.io/flyteorg/flyte:py3.11-v{version}"
    with pytest.raises(ImageBuildError, match="starts from 'nvidia/cuda:12'"):
        flyte.build(Image.from_ref_name("gpu"))


async def test_a_build_that_is_cancelled_ends_what_it_has_started(tmp_path: Path, images: Path) -> None:
    started = tmp_path / "started"
    one = image().with_commands([f"echo $$ > {started}.new; mv {started}.new {started}; sleep 600 & wait"])
    building = asyncio.create_task(flyte.build.aio(one))
    async with asyncio.timeout(60):
        while not started.exists():
            await asyncio.sleep(0.01)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert not psutil.pid_exists(int(started.read_text()))
    assert [path for path in images.glob("[!.]*") if path.is_dir()] == []


def test_names_of_images_are_those_of_init_and_of_the_configuration(without_configuration: Path) -> None:
    base = flyte.build(Image.from_base("python:3.11-slim"), dry_run=True).uri
    named = Image.from_ref_name("mine")
    with pytest.raises(ImageBuildError, match="'mine' is not in the configuration"):
        flyte.build(named, dry_run=True)
    flyte.init(images={"mine": "python:3.11-slim"})
    assert flyte.build(named, dry_run=True).uri == base
    config = without_configuration / "other.yaml"
    config.write_text("image:\n  image_refs:\n    mine: python:3.11-slim\n")
    flyte.init()
    with pytest.raises(ImageBuildError, match="'mine' is not in the configuration"):
        flyte.build(named, dry_run=True)
    flyte.init_from_config(config)
    assert flyte.build(named, dry_run=True).uri == base


def test_an_isolated_run_knows_the_names_of_images() -> None:
    major, minor = sys.version_info[:2]
    flyte.init(images={"mine": f"python:{major}.{minor}-slim"})
    env = flyte.TaskEnvironment("named", image=Image.from_ref_name("mine"))

    @env.task
    def main() -> str:
        return sys.prefix

    assert flyte.with_runcontext(isolated=True).run(main).outputs()[0] != sys.prefix
