from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte._bundle.ignoring import STANDARD_ENDINGS, STANDARD_NAMES
from flyte._bundle.selection import plan_bundle
from tests.bundle.projects import names, rules, write


@pytest.mark.parametrize("name", sorted(STANDARD_NAMES))
@pytest.mark.parametrize("is_folder", [True, False])
def test_standard_names_are_left_out_at_any_depth(name: str, is_folder: bool, project: Path) -> None:
    ending = "/x.py" if is_folder else ""
    write(project, {"main.py": "", f"{name}{ending}": "", f"pkg/{name}{ending}": ""})
    plan = plan_bundle(copy_style="all")
    assert names(plan) == ["main.py"]
    slash = "/" if is_folder else ""
    assert rules(plan) == {f"{name}{slash}": f"standard: {name}", f"pkg/{name}{slash}": f"standard: {name}"}


@pytest.mark.parametrize("ending", STANDARD_ENDINGS)
def test_standard_endings_are_left_out(ending: str, project: Path) -> None:
    write(project, {"main.py": "", f"x{ending}": "", f"pkg/y{ending}/z.py": ""})
    plan = plan_bundle(copy_style="all")
    assert names(plan) == ["main.py"]
    assert set(rules(plan).values()) == {f"standard: *{ending}"}


def test_the_standard_rules_are_those_of_flyte_2() -> None:
    listed = (
        "*.pyc __pycache__ .cache .ruff_cache .mypy_cache .pytest_cache .venv .idea venv env *.log .env *.egg-info "
        "*.egg dist build *.whl"
    )
    assert set(listed.split()) == STANDARD_NAMES | {f"*{ending}" for ending in STANDARD_ENDINGS}


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history"])
def test_a_virtual_environment_of_any_name_is_left_out_and_nothing_takes_it_back(mark: str, project: Path) -> None:
    write(project, {"main.py": "", f"tools/{mark}": "", "tools/lib/x.py": "", ".flyteignore": "!tools/\n!.git\n"})
    write(project, {".git/config": ""})
    plan = plan_bundle(copy_style="all")
    assert names(plan) == [".flyteignore", "main.py"]
    assert rules(plan) == {".git/": "never: .git", "tools/": "a virtual environment"}


def test_the_home_folder_of_flyte_is_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_HOME", str(project / "state"))
    write(project, {"main.py": "", "state/bundles/x.tar.gz": ""})
    assert rules(plan_bundle(copy_style="all")) == {"state/": "never: the home folder of Flyte"}


PATTERNS = (
    "*.csv\n!keep.csv\n/top.txt\ndata/\nsub/*/deep.txt\n**/any/x.txt\n\\#odd\n# a comment\n\nspace\\ \nlone.txt  \n"
)
FILES = [
    "a.csv",
    "keep.csv",
    "pkg/a.csv",
    "pkg/keep.csv",
    "top.txt",
    "pkg/top.txt",
    "data/x.py",
    "pkg/data/x.py",
    "sub/a/deep.txt",
    "sub/a/b/deep.txt",
    "one/two/any/x.txt",
    "#odd",
    "space ",
    "lone.txt",
    "pkg/inner/a.txt",
    "pkg/inner/b.txt",
    "pkg/inner/keep.csv",
    "other/b.txt",
]


def listed_by_git(folder: Path) -> list[str]:
    """The files that git would add, by name."""
    command = ["git", "-C", str(folder), "ls-files", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    return sorted(os.fsdecode(name) for name in listed.split(b"\0") if name)


def test_gitignore_means_what_it_means_to_git(project: Path) -> None:
    write(project, dict.fromkeys(FILES, "x"))
    write(project, {".gitignore": PATTERNS, "pkg/.gitignore": "b.txt\n", "pkg/inner/.gitignore": "!b.txt\nkeep.csv\n"})
    subprocess.run(["git", "init", "-q"], check=True)
    assert names(plan_bundle(copy_style="all")) == listed_by_git(project)


plain_part = st.sampled_from(["a", "b", "ab", "a.x", "b.x"])
odd_part = st.text(st.sampled_from("aab.-]![^\\ #:*?é1"), min_size=1, max_size=3)
# Folders start with a d and files with an f, so that no name is both.
file = st.lists(plain_part | odd_part, min_size=1, max_size=3).map(
    lambda parts: "/".join([*(f"d{part}" for part in parts[:-1]), f"f{parts[-1]}"])
)
plain_pattern = st.builds(
    lambda negation, start, parts, end: negation + start + "/".join(parts) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/", "**/"]),
    st.lists(st.sampled_from(["fa", "f*", "*", "*.x", "d*", "da", "db", "**", "f?", "[df]a"]), min_size=1, max_size=3),
    st.sampled_from(["", "", "/", "/*", "/**"]),
)
PIECES = [*"addf**??[]]!-^\\/ .#:1", "[[:alpha:]]", "[[:digit:]]", "[[:no:]]", "**/", "/**", "[!a]", "[a-f]", "[]a]"]
odd_pattern = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
rule_files = st.dictionaries(
    st.sampled_from(["", "da/", "db/", "da/db/"]), st.lists(plain_pattern | odd_pattern, max_size=4), max_size=3
)


@settings(deadline=None, max_examples=150)
@given(files=st.lists(file, min_size=1, max_size=8, unique=True), rule_files=rule_files)
def test_any_patterns_mean_what_they_mean_to_git(files: list[str], rule_files: dict[str, list[str]]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, dict.fromkeys(files, "x"))
        write(root, {f"{place}.gitignore": "\n".join(lines) for place, lines in rule_files.items()})
        subprocess.run(["git", "init", "-q", folder], check=True)
        assert names(plan_bundle(root, copy_style="all")) == listed_by_git(root)


def test_the_rule_that_is_named_is_the_line_of_the_file(project: Path) -> None:
    write(project, {"main.py": "", "pkg/a.csv": "", "pkg/.gitignore": "# tables\n\n*.csv\n"})
    assert rules(plan_bundle(copy_style="all")) == {"pkg/a.csv": "pkg/.gitignore: *.csv"}


def test_gitignore_counts_without_a_repository(project: Path) -> None:
    write(project, {"main.py": "", "a.csv": "", ".gitignore": "*.csv\n"})
    assert names(plan_bundle(copy_style="all")) == [".gitignore", "main.py"]


def test_the_rules_of_the_repository_above_the_root_count(project: Path) -> None:
    write(project, {"svc/app/main.py": "", "svc/app/a.csv": "", "svc/app/b.tmp": "", "svc/app/c.mine": ""})
    write(project, {".gitignore": "*.csv\n", "svc/.gitignore": "/app/*.tmp\n", ".git/info/exclude": "*.mine\n"})
    plan = plan_bundle(project / "svc" / "app", copy_style="all")
    assert rules(plan) == {
        "a.csv": f"{project}/.gitignore: *.csv",
        "b.tmp": f"{project}/svc/.gitignore: /app/*.tmp",
        "c.mine": ".git/info/exclude: *.mine",
    }


def test_rules_above_the_repository_do_not_count(project: Path) -> None:
    write(project, {".gitignore": "*\n", "repo/.git/HEAD": "", "repo/main.py": ""})
    assert names(plan_bundle(project / "repo", copy_style="all")) == ["main.py"]


@pytest.mark.parametrize("line", ["scratch/", "*", "/scratch/**", "x", "/scratch/x"])
def test_a_root_that_its_repository_leaves_out_was_named_nevertheless(line: str, project: Path) -> None:
    write(project, {".gitignore": f"{line}\n*.csv\n", ".git/HEAD": ""})
    write(
        project, {"scratch/x/main.py": "", "scratch/x/a.csv": "", "scratch/x/b.txt": "", "scratch/x/.gitignore": "b*"}
    )
    assert names(plan_bundle(project / "scratch" / "x", copy_style="all")) == [".gitignore", "a.csv", "main.py"]


def test_flyteignore_has_the_last_word(project: Path) -> None:
    write(project, {"main.py": "", "kept.csv": "", "other.csv": "", "dist/x.py": "", "notes.md": "", "pkg/x.log": ""})
    write(
        project, {".gitignore": "*.csv\n", ".flyteignore": "!kept.csv\n!dist/\n*.md\n", "pkg/.flyteignore": "!x.log\n"}
    )
    plan = plan_bundle(copy_style="all")
    assert names(plan) == [
        ".flyteignore",
        ".gitignore",
        "dist/x.py",
        "kept.csv",
        "main.py",
        "pkg/.flyteignore",
        "pkg/x.log",
    ]
    assert rules(plan) == {"notes.md": ".flyteignore: *.md", "other.csv": ".gitignore: *.csv"}


def test_what_is_in_a_folder_that_is_left_out_cannot_be_taken_back_alone(project: Path) -> None:
    write(project, {"main.py": "", "dist/keep.py": "", ".flyteignore": "!dist/keep.py\n"})
    assert names(plan_bundle(copy_style="all")) == [".flyteignore", "main.py"]


def test_rule_files_of_any_bytes_and_line_ends_are_read(project: Path) -> None:
    write(
        project,
        {"main.py": "", "é.txt": "", "b.txt": "", ".gitignore": "é.txt\r\nb.txt\r\n\xff".encode() + b"\xff\n"},
    )
    assert names(plan_bundle(copy_style="all")) == [".gitignore", "main.py"]


@pytest.mark.parametrize("line", ["!", "/", "!/", "[a", "main.py\\", "[[:none:]]*", "*[]", "# *", "\t# *"])
def test_a_line_that_git_reads_to_no_end_matches_nothing(line: str, project: Path) -> None:
    write(project, {"main.py": "", ".flyteignore": f"{line}\n"})
    assert names(plan_bundle(copy_style="all")) == [".flyteignore", "main.py"]


def test_a_gitignore_that_is_a_folder_is_an_ordinary_folder(project: Path) -> None:
    write(project, {"main.py": "", ".gitignore/x.py": ""})
    assert names(plan_bundle(copy_style="all")) == [".gitignore/x.py", "main.py"]
