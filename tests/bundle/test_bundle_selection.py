from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

import flyte
from flyte._bundle import walking
from flyte._bundle.building import build_bundle, keep_bundle
from flyte._bundle.including import Inclusion, with_dependencies
from flyte._bundle.limits import SizeLimits
from flyte._bundle.plans import COPY_STYLES
from flyte._bundle.selection import plan_bundle
from flyte.errors import CodeBundleError
from tests.bundle.projects import names, rules, write


def module(name: str, file: Path | str | None) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = None if file is None else str(file)
    return made


def modules(**files: Path | str | None) -> dict[str, ModuleType]:
    return {name: module(name, file) for name, file in files.items()}


def test_all_takes_every_file_sorted_with_its_size_and_reason(project: Path) -> None:
    write(project, {"a/x.py": "1", "a-b/x.py": "22", "a.py": "", "data.bin": b"\0" * 5})
    plan = plan_bundle(copy_style="all")
    assert [(file.relative, file.size_bytes, file.reason) for file in plan.files] == [
        ("a-b/x.py", 2, "below the root"),
        ("a.py", 0, "below the root"),
        ("a/x.py", 1, "below the root"),
        ("data.bin", 5, "below the root"),
    ]
    assert (plan.root, plan.total_bytes, plan.copy_style) == (project, 8, "all")


def test_loaded_modules_are_the_files_that_were_imported_from_below_the_root(project: Path) -> None:
    write(project, {"main.py": "", "pkg/__init__.py": "", "pkg/a.py": "", "pkg/unused.py": "", "fast.so": ""})
    write(project.parent, {"elsewhere/x.py": ""})
    loaded = modules(
        main=project / "main.py",
        pkg=project / "pkg" / "__init__.py",
        fast=project / "fast.so",
        x=project.parent / "elsewhere" / "x.py",
        builtin=None,
        typed="<stdin>",
        gone=project / "gone.py",
    )
    loaded["pkg.a"] = module("pkg.a", "pkg/../pkg/a.py")
    plan = plan_bundle(copy_style="loaded_modules", modules=loaded)
    assert [(file.relative, file.reason) for file in plan.files] == [
        ("fast.so", "module fast"),
        ("main.py", "module main"),
        ("pkg/__init__.py", "module pkg"),
        ("pkg/a.py", "module pkg.a"),
    ]


def test_what_is_installed_is_no_loaded_module_of_the_project(project: Path) -> None:
    write(project, {"main.py": "", "lib/site-packages/x.py": "", "lib/dist-packages/y.py": ""})
    loaded = modules(
        main=project / "main.py",
        x=project / "lib" / "site-packages" / "x.py",
        y=project / "lib" / "dist-packages" / "y.py",
    )
    assert names(plan_bundle(modules=loaded)) == ["main.py"]


def test_a_real_process_bundles_what_it_imported(project: Path) -> None:
    write(project, {"src/app/__init__.py": "", "src/app/tasks.py": "from app import helper", "src/app/helper.py": ""})
    program = (
        "import sys, json, app.tasks, flyte\n"
        "from flyte._bundle.selection import plan_bundle\n"
        "print(*(file.relative for file in plan_bundle(sys.argv[1]).files))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(project)],
        env=os.environ | {"PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["src/app/__init__.py", "src/app/helper.py", "src/app/tasks.py"]


def test_python_and_flyte_are_not_bundled_with_a_project_that_they_are_below() -> None:
    root = Path(os.path.commonpath([flyte.__file__, __file__]))
    found = names(plan_bundle(root))
    assert Path(__file__).relative_to(root).as_posix() in found
    assert not [name for name in found if f"{root}/{name}".startswith((str(Path(flyte.__file__).parent), sys.prefix))]


def test_modules_are_found_where_the_root_is_reached_through_a_link(project: Path) -> None:
    write(project, {"main.py": ""})
    link = project.parent / "link"
    link.symlink_to(project)
    plan = plan_bundle(link, modules=modules(main=link / "main.py"))
    assert (names(plan), plan.root) == (["main.py"], project)


def test_ignore_rules_do_not_keep_out_a_module_that_is_in_use(project: Path) -> None:
    write(project, {"build/main.py": "", ".gitignore": "build/"})
    assert names(plan_bundle(modules=modules(main=project / "build" / "main.py"))) == ["build/main.py"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_module_that_a_link_brings_in_from_outside_is_left_out(is_folder: bool, project: Path) -> None:
    write(project.parent, {"outside/x.py": ""})
    write(project, {"main.py": ""})
    link = project / ("folder" if is_folder else "x.py")
    link.symlink_to(project.parent / "outside" / ("" if is_folder else "x.py"))
    path = link / "x.py" if is_folder else link
    plan = plan_bundle(modules=modules(main=project / "main.py", x=path))
    assert names(plan) == ["main.py"]
    assert rules(plan) == {str(path.relative_to(project)): f"a link out of the root, to {project.parent}/outside/x.py"}


def declared(project: Path, name: str, *include: str, depends_on: str = "[]") -> flyte.TaskEnvironment:
    """An environment declared by a file of the project."""
    file = project / "pkg" / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"import flyte\nenv = flyte.TaskEnvironment({name!r}, include={include!r})\n")
    variables: dict[str, object] = {"__name__": name}
    exec(compile(file.read_text(), str(file), "exec"), variables)
    environment = variables["env"]
    assert isinstance(environment, flyte.TaskEnvironment)
    return environment


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("conf.yaml", ["pkg/conf.yaml"]),
        ("sql", ["pkg/sql/a.sql", "pkg/sql/deep/b.sql"]),
        ("../top.txt", ["top.txt"]),
        ("*.yaml", ["pkg/conf.yaml", "pkg/more.yaml"]),
        ("sql/**/*.sql", ["pkg/sql/a.sql", "pkg/sql/deep/b.sql"]),
        ("odd[1].txt", ["pkg/odd[1].txt"]),
        ("x.log", ["pkg/x.log"]),
        ("ignored", ["pkg/ignored/x.txt"]),
    ],
)
def test_custom_takes_what_environments_include(include: str, expected: list[str], project: Path) -> None:
    write(project, dict.fromkeys(("pkg/conf.yaml", "pkg/more.yaml", "pkg/sql/a.sql", "pkg/sql/deep/b.sql"), ""))
    write(project, dict.fromkeys(("top.txt", "pkg/odd[1].txt", "pkg/x.log", "pkg/sql/c.log", "pkg/ignored/x.txt"), ""))
    write(project, {".gitignore": "ignored/\n"})
    plan = plan_bundle(copy_style="custom", environments=[declared(project, "env", include)])
    assert names(plan) == expected
    assert {file.reason for file in plan.files} == {"included by environment 'env'"}


@pytest.mark.parametrize("style", ["loaded_modules", "all"])
def test_what_is_included_comes_to_every_style(style: str, project: Path) -> None:
    write(project, {"main.py": "", "pkg/x.log": ""})
    environment = declared(project, "env", "x.log")
    plan = plan_bundle(copy_style=style, environments=[environment], modules=modules(main=project / "main.py"))
    expected = {"main.py", "pkg/x.log"} | ({"pkg/env.py"} if style == "all" else set())
    assert set(names(plan)) == expected
    assert "pkg/x.log" not in rules(plan)


def test_environments_that_are_depended_on_include_too_even_in_a_circle(project: Path) -> None:
    write(project, {"pkg/a.txt": "", "pkg/b.txt": ""})
    first, second = declared(project, "first", "a.txt"), declared(project, "second", "b.txt")
    first.add_dependency(second)
    second.add_dependency(first)
    assert with_dependencies([first]) == (first, second)
    assert names(plan_bundle(copy_style="custom", environments=[first])) == ["pkg/a.txt", "pkg/b.txt"]


def test_an_included_file_that_is_missing_is_answered_with_a_near_name(project: Path) -> None:
    write(project, {"pkg/settings.yaml": ""})
    with pytest.raises(CodeBundleError, match=r"'env' includes .*/pkg/setting\.yaml, .* Did you mean 'settings\.yaml'"):
        plan_bundle(copy_style="custom", environments=[declared(project, "env", "setting.yaml")])


def test_an_included_pattern_without_a_match_is_an_error(project: Path) -> None:
    with pytest.raises(CodeBundleError, match=r"'env' includes .*\*\.yaml, and there is no such file"):
        plan_bundle(copy_style="custom", environments=[declared(project, "env", "*.yaml")])


@pytest.mark.parametrize("is_link", [False, True])
def test_an_included_file_outside_the_root_is_an_error(is_link: bool, project: Path) -> None:
    write(project.parent, {"secret.txt": "s"})
    environment = declared(project, "env", "link.txt" if is_link else "../../secret.txt")
    (project / "pkg" / "link.txt").symlink_to(project.parent / "secret.txt")
    with pytest.raises(CodeBundleError, match=rf"outside the root folder {project} of the bundle: move it there"):
        plan_bundle(copy_style="custom", environments=[environment])


def test_none_takes_nothing_and_builds_nothing(project: Path, flyte_home: Path) -> None:
    write(project, {"main.py": ""})
    plan = plan_bundle(copy_style="none")
    assert (plan.files, build_bundle(plan)) == ((), None)
    assert not list(flyte_home.iterdir())


def test_an_unknown_style_is_answered_with_the_known_ones(project: Path) -> None:
    with pytest.raises(
        CodeBundleError, match=r"'loaded_modules', 'all', 'custom', 'none', got 'loaded_module'. Did you"
    ):
        plan_bundle(copy_style="loaded_module")


@pytest.mark.parametrize(
    ("style", "why"),
    [
        ("all", "it is empty, or rules leave out all of it. 1 left out, such as x.log (standard: *.log)."),
        ("custom", "no environment includes a file"),
        ("loaded_modules", "no module was imported from there"),
    ],
)
def test_nothing_to_bundle_is_an_error_that_says_why(style: str, why: str, project: Path) -> None:
    write(project, {"x.log": ""})
    with pytest.raises(CodeBundleError, match="there is nothing to bundle in") as caught:
        keep_bundle(plan_bundle(copy_style=style, modules={}))
    assert why in str(caught.value)


@pytest.mark.parametrize("style", [style for style in COPY_STYLES if style != "none"])
@pytest.mark.parametrize("above", [0, 1])
def test_a_home_folder_and_those_above_are_no_root(
    style: str, above: int, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    root = [project, *project.parents][above]
    with pytest.raises(CodeBundleError, match=r"home folder.* Put the project into a folder of its own.* --root-dir"):
        plan_bundle(root, copy_style=style)


def test_the_root_of_the_machine_is_no_root_whatever_the_home_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    with pytest.raises(CodeBundleError, match="the root folder / of the bundle is"):
        plan_bundle("/", copy_style="all")


def test_a_home_reached_through_a_link_is_no_root(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    (project.parent / "link").symlink_to(project)
    with pytest.raises(CodeBundleError, match="is a home folder"):
        plan_bundle(project.parent / "link", copy_style="all")


@pytest.mark.parametrize("root", ["missing", "file.txt"])
def test_a_root_that_is_no_folder_is_an_error(root: str, project: Path) -> None:
    write(project, {"file.txt": ""})
    with pytest.raises(CodeBundleError, match=f"{root} of the bundle is not a folder"):
        plan_bundle(project / root, copy_style="all")


def test_links_that_stay_in_the_root_are_followed(project: Path) -> None:
    write(project, {"a/x.py": "content"})
    (project / "alias.py").symlink_to("a/x.py")
    (project / "b").symlink_to("a")
    plan = plan_bundle(copy_style="all")
    assert names(plan) == ["a/x.py", "alias.py", "b/x.py"]
    assert {file.size_bytes for file in plan.files} == {7}


def test_links_that_leave_the_root_or_lead_nowhere_are_left_out(project: Path) -> None:
    write(project.parent, {"outside/secret.txt": ""})
    write(project, {"main.py": ""})
    (project / "file").symlink_to(project.parent / "outside" / "secret.txt")
    (project / "folder").symlink_to("../outside")
    (project / "broken").symlink_to("nothing")
    plan = plan_bundle(copy_style="all")
    assert names(plan) == ["main.py"]
    assert rules(plan) == {
        "broken": "a link to nothing",
        "file": f"a link out of the root, to {project.parent}/outside/secret.txt",
        "folder": f"a link out of the root, to {project.parent}/outside",
    }


def test_a_folder_beside_the_root_whose_name_starts_the_same_is_outside(project: Path) -> None:
    write(project.parent, {"project-secrets/x.txt": ""})
    write(project, {"main.py": ""})
    (project / "link.txt").symlink_to("../project-secrets/x.txt")
    assert names(plan_bundle(copy_style="all")) == ["main.py"]


def test_links_in_a_circle_end(project: Path) -> None:
    write(project, {"a/x.py": "", "b/y.py": ""})
    (project / "a" / "up").symlink_to("..")
    (project / "a" / "b").symlink_to("../b")
    (project / "b" / "a").symlink_to("../a")
    (project / "self").symlink_to("self")
    plan = plan_bundle(copy_style="all")
    assert {"a/x.py", "b/y.py", "a/b/y.py", "b/a/x.py"} <= set(names(plan))
    assert rules(plan)["self"] == "a link to nothing"
    assert rules(plan)["a/up"].startswith("a link to a folder that it is in")


def test_links_that_multiply_end_at_a_number_of_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_FILES", 100)
    for depth in range(20):
        write(project, {f"d{depth}/x.py": ""})
        for branch in ("l", "r"):
            (project / f"d{depth}" / branch).symlink_to(f"../d{depth + 1}")
    write(project, {"d20/x.py": ""})
    with pytest.raises(CodeBundleError, match=r"more than 100 files below .*\.flyteignore"):
        plan_bundle(copy_style="all")


@pytest.mark.parametrize("link", ["config", "pkg/config"])
def test_a_link_does_not_bring_in_what_a_rule_leaves_out(link: str, project: Path) -> None:
    write(project, {"main.py": "", ".env": "TOKEN=1", "keys/.gitignore": "*.pem", "keys/a.pem": "", "pkg/x.py": ""})
    (project / link).symlink_to(project / ".env")
    (project / "key").symlink_to(project / "keys" / "a.pem")
    plan = plan_bundle(copy_style="all")
    assert names(plan) == ["keys/.gitignore", "main.py", "pkg/x.py"]
    assert rules(plan)[link] == f"a link to {project}/.env, which is left out (standard: .env)"
    assert rules(plan)["key"] == f"a link to {project}/keys/a.pem, which is left out (keys/.gitignore: *.pem)"


def test_pipes_and_sockets_are_left_out(project: Path) -> None:
    write(project, {"main.py": ""})
    os.mkfifo(project / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        plan = plan_bundle(copy_style="all")
    assert names(plan) == ["main.py"]
    assert rules(plan) == {"pipe": "no regular file", "socket": "no regular file"}


def test_a_large_file_is_refused_with_its_name_and_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_FILE_MIB", "0.5")
    write(project, {"main.py": "", "data/rows.bin": b"\0" * 800_000, "data/more.bin": b"\0" * 600_000})
    with pytest.raises(CodeBundleError) as caught:
        keep_bundle(plan_bundle(copy_style="all"))
    assert str(caught.value) == (
        f"too large for a code bundle, where a file may have 0.5 MiB: {project}/data/rows.bin (0.8 MiB, below the root)"
        f", {project}/data/more.bin (0.6 MiB, below the root). Pass data to tasks as flyte.io.File, and leave it out "
        f"of the bundle with a line such as '/data/rows.bin' in {project}/.flyteignore; or set "
        f"FLYTE_BUNDLE_MAX_FILE_MIB to allow more."
    )
    write(project, {".flyteignore": "/data/rows.bin\n/data/more.bin\n"})
    assert keep_bundle(plan_bundle(copy_style="all")).is_new


def test_too_many_bytes_together_are_refused_with_the_largest_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_MIB", "1")
    write(project, {f"{number}.txt": b"\0" * (number * 100_000) for number in range(1, 6)})
    with pytest.raises(CodeBundleError, match=r"the 5 files of .* are 1\.4 MiB together.* The largest are 5\.txt"):
        keep_bundle(plan_bundle(copy_style="all"))


def test_the_limits_without_settings_are_those_of_the_documentation() -> None:
    assert SizeLimits.from_environment() == SizeLimits(file_bytes=10 << 20, total_bytes=200 << 20)


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_MIB", text)
    with pytest.raises(CodeBundleError, match=f"FLYTE_BUNDLE_MAX_MIB is {text!r}: expected a number of MiB"):
        SizeLimits.from_environment()


@contextmanager
def somebody_else(*readable: Path) -> Iterator[None]:
    """Not the superuser, whom no right is denied; the folders down to these are open to everybody."""
    if os.geteuid() != 0:
        yield
        return
    for folder in readable:
        for each in (folder, *folder.parents):
            if each.stat().st_uid == 0 and each != Path("/") and each.is_relative_to("/tmp") and each != Path("/tmp"):
                each.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["pkg", "pkg/secret.py", "pkg/.gitignore"])
def test_what_cannot_be_read_is_an_error_that_names_it(name: str, project: Path) -> None:
    write(project, {"pkg/secret.py": "", "pkg/.gitignore": "*.csv", "main.py": ""})
    (project / name).chmod(0)
    try:
        with somebody_else(project), pytest.raises(CodeBundleError, match=f"{name}.* cannot be .*Permission denied"):
            keep_bundle(plan_bundle(copy_style="all"))
    finally:
        (project / name).chmod(0o755)


def test_an_inclusion_of_somebody_else_is_named_by_them(project: Path) -> None:
    write(project, {"conf.yaml": ""})
    plan = plan_bundle(copy_style="custom", include=[Inclusion(project / "conf.yaml", "app 'web'")])
    assert [file.reason for file in plan.files] == ["included by app 'web'"]
