"""Rules for the repository as a whole: nothing unlinked, nothing of one machine, nothing left out of the wheel."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

import flyte

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".ci", "bench", "conformance", "docs", "examples", "src", "tests")
GENERATED = {"__pycache__"}
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root)/")


def text_files() -> Iterator[Path]:
    """The files people wrote: those of the top folder and of `FOLDERS`, without what tools leave there."""
    yield from (path for path in ROOT.glob("*") if path.is_file() and path.name != ".coverage")
    for folder in FOLDERS:
        for parent, folders, names in os.walk(ROOT / folder):
            # In place, so that what tools leave is not even looked into: it may come and go meanwhile.
            folders[:] = [name for name in folders if not is_temporary(name)]
            yield from (Path(parent, name) for name in names if not is_temporary(name))


def is_temporary(name: str) -> bool:
    return name in GENERATED or name.endswith((".tmp", ".egg-info"))


def links(page: Path) -> set[Path]:
    """The files of this repository that a page links to."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text("utf-8"))
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("**/*.md")) + sorted((ROOT / "bench").glob("**/README.md"))


def test_every_page_of_the_documentation_is_linked_from_its_index_or_the_readme() -> None:
    linked = links(ROOT / "README.md") | links(ROOT / "docs" / "README.md")
    unlinked = {path for path in (ROOT / "docs").glob("**/*.md") if path.name != "README.md"} - linked
    assert not unlinked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    assert not [target for target in links(page) if not target.exists()]


def test_changelog_has_an_entry_for_the_current_version() -> None:
    assert f"## [{flyte.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_no_file_names_a_path_of_one_machine() -> None:
    assert not [path for path in text_files() if MACHINE_PATH.search(path.read_text("utf-8", errors="replace"))]


# The first path is put together here, or this file would hold what no file may.
@pytest.mark.parametrize(("text", "is_found"), [("in /" + "work/main", True), ("in repo/work/deep", False)])
def test_machine_path_starts_at_the_root_folder(text: str, is_found: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) is is_found


def test_license_is_the_apache_text() -> None:
    licence = (ROOT / "LICENSE").read_text("utf-8")
    assert licence.split("\n", 3)[1].strip() == "Apache License"
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_package_ships_its_type_marker_and_its_migrations() -> None:
    package = resources.files("flyte")
    assert package.joinpath("py.typed").is_file()
    migrations = [entry.name for entry in package.joinpath("_store", "migrations").iterdir()]
    assert any(name.endswith(".sql") for name in migrations)
