"""A task is named by the file and the variable that hold it, and found again where the same files are."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from flyte._bundle.resolvers import DefaultTaskResolver
from flyte.errors import ModuleLoadError

Write = Callable[[dict[str, str]], Path]

RESOLVER = DefaultTaskResolver()
TASK = """
    import flyte

    env = flyte.TaskEnvironment("digits")


    @env.task
    async def train(x: int) -> int:
        return x
"""
NAME_IT = """
    if __name__ == "__main__":
        import json, sys
        from pathlib import Path
        from flyte._bundle.resolvers import DefaultTaskResolver

        print(json.dumps(DefaultTaskResolver().loader_args({task}, Path(sys.argv[1]))))
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files, by their path, into the folder of a project; gives the folder."""

    def into(files: dict[str, str]) -> Path:
        root = tmp_path / "project"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), "utf-8")
        root.mkdir(exist_ok=True)
        return root

    return into


@pytest.fixture(autouse=True)
def imports() -> Iterator[None]:
    """What the test imports is forgotten after it."""
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        if not name.startswith("flyte"):
            del sys.modules[name]


def named(folder: Path, *command: str, root: Path | None = None) -> list[str]:
    """What the program `python <command>`, started in the folder, calls its task."""
    done = subprocess.run(
        [sys.executable, "-B", *command, str(root or folder)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    arguments: list[str] = json.loads(done.stdout)
    return arguments


def script(task: str = "train", before: str = TASK) -> str:
    return dedent(before) + dedent(NAME_IT).format(task=task)


def module_of(root: Path, name: str) -> Any:
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def mod(module: str, variable: str) -> list[str]:
    return ["mod", module, "instance", variable]


def failure(root: Path, module: str, variable: str = "train") -> str:
    """The message with which loading fails, after it was seen to leave nothing behind."""
    path, modules = list(sys.path), set(sys.modules)
    with pytest.raises(ModuleLoadError) as raised:
        RESOLVER.load_task(mod(module, variable), root)
    assert sys.path == path
    left = {name for name in set(sys.modules) - modules if str(root) in str(getattr(sys.modules[name], "__file__", ""))}
    assert not left
    return str(raised.value)


def test_resolver_is_called_what_official_task_processes_call_it() -> None:
    assert RESOLVER.import_path == "flyte._internal.resolvers.default.DefaultTaskResolver"


def test_task_of_a_script_is_named_by_its_file_and_found_there(write: Write) -> None:
    root = write({"wine.py": script()})
    arguments = named(root, "wine.py")
    assert arguments == mod("wine", "train")
    assert RESOLVER.load_task(arguments, root).name == "digits.train"


def test_script_in_a_nested_folder_finds_what_lies_beside_it(write: Write) -> None:
    root = write({"jobs/nightly/wine_job.py": "import beside_wine\n" + script(), "jobs/nightly/beside_wine.py": ""})
    arguments = named(root, "jobs/nightly/wine_job.py")
    assert arguments == mod("jobs.nightly.wine_job", "train")
    assert RESOLVER.load_task(arguments, root).name == "digits.train"


def test_script_whose_name_is_no_identifier_is_found(write: Write) -> None:
    root = write({"wine-2.py": script()})
    arguments = named(root, "wine-2.py")
    assert arguments == mod("wine-2", "train")
    assert RESOLVER.load_task(arguments, root).name == "digits.train"


def test_task_of_a_package_is_named_by_its_dotted_path(write: Write) -> None:
    root = write({"vineyard/__init__.py": "", "vineyard/wine.py": script()})
    arguments = named(root, "-m", "vineyard.wine")
    assert arguments == mod("vineyard.wine", "train")
    assert RESOLVER.load_task(arguments, root).name == "digits.train"


def test_task_in_the_init_of_a_package_is_named_by_the_package(write: Write) -> None:
    root = write({"cellar/__init__.py": TASK})
    task = module_of(root, "cellar").train
    assert RESOLVER.loader_args(task, root) == mod("cellar", "train")
    assert RESOLVER.load_task(mod("cellar", "train"), root) is task


def test_src_layout_is_imported_as_the_project_itself_does(write: Write) -> None:
    uses_shapes = "from grapes.shapes import Shape\n" + dedent(TASK)
    root = write(
        {"src/grapes/__init__.py": "", "src/grapes/shapes.py": "class Shape: ...", "src/grapes/wine.py": uses_shapes}
    )
    task = module_of(root / "src", "grapes.wine").train
    arguments = RESOLVER.loader_args(task, root)
    assert arguments == mod("src.grapes.wine", "train")
    for name in [name for name in sys.modules if name.startswith("grapes")]:
        del sys.modules[name]
    loaded: Any = RESOLVER.load_task(arguments, root)
    assert loaded.func.__module__ == "grapes.wine"
    assert "src.grapes.shapes" not in sys.modules


def test_folder_src_that_the_code_itself_names_is_a_package_like_others(write: Write) -> None:
    uses_shapes = "from src.barrels import Barrel\n" + dedent(TASK)
    root = write({"src/barrels.py": "class Barrel: ...", "src/cooper.py": uses_shapes})
    loaded: Any = RESOLVER.load_task(mod("src.cooper", "train"), root)
    assert loaded.func.__module__ == "src.cooper"
    assert "barrels" not in sys.modules


def test_task_is_named_by_the_variable_that_holds_it(write: Write) -> None:
    held = """
        import flyte

        env = flyte.TaskEnvironment("digits")


        def made():
            @env.task
            async def inner(x: int) -> int:
                return x

            return inner


        first = made()
    """
    root = write({"factory.py": held})
    task = module_of(root, "factory").first
    assert RESOLVER.loader_args(task, root) == mod("factory", "first")
    assert RESOLVER.load_task(mod("factory", "first"), root) is task


def test_task_that_another_module_of_the_project_makes_and_holds_is_named_there(write: Write) -> None:
    root = write(
        {
            "makers.py": """
                import flyte

                env = flyte.TaskEnvironment("digits")


                def made():
                    @env.task
                    async def inner(x: int) -> int:
                        return x

                    return inner
            """,
            "holders.py": "from makers import made\n\nsecond = made()\n",
        }
    )
    task = module_of(root, "holders").second
    assert RESOLVER.loader_args(task, root) == mod("holders", "second")


def test_overridden_task_is_found_as_the_task_it_was_made_from(write: Write) -> None:
    root = write({"overrides.py": dedent(TASK) + "\n\nkept = train.override(retries=3)\n"})
    module = module_of(root, "overrides")
    assert RESOLVER.loader_args(module.train.override(retries=5), root) == mod("overrides", "train")
    assert RESOLVER.loader_args(module.kept, root) == mod("overrides", "kept")
    assert RESOLVER.load_task(mod("overrides", "kept"), root).retries.count == 3


def test_task_in_a_class_is_found_by_its_path(write: Write) -> None:
    in_class = """
        import flyte

        env = flyte.TaskEnvironment("digits")


        class Wines:
            @env.task
            async def red(x: int) -> int:
                return x
    """
    root = write({"classes.py": in_class})
    task = module_of(root, "classes").Wines.red
    assert RESOLVER.loader_args(task, root) == mod("classes", "Wines.red")
    assert RESOLVER.load_task(mod("classes", "Wines.red"), root) is task


def test_root_folder_that_is_a_link_makes_no_difference(write: Write, tmp_path: Path) -> None:
    root = write({"linked.py": TASK})
    (tmp_path / "link").symlink_to(root)
    task = module_of(root, "linked").train
    assert RESOLVER.loader_args(task, tmp_path / "link") == mod("linked", "train")


def test_local_task_that_nothing_holds_is_refused_with_the_function_it_is_in(write: Write) -> None:
    local = """
        import flyte

        env = flyte.TaskEnvironment("digits")


        def made():
            @env.task
            async def inner(x: int) -> int:
                return x

            return inner
    """
    root = write({"locals_only.py": local})
    task = module_of(root, "locals_only").made()
    with pytest.raises(
        ModuleLoadError, match=r"'digits\.inner' is declared inside made\(\) of locals_only, and no var"
    ):
        RESOLVER.loader_args(task, root)


def test_task_whose_name_was_given_away_is_refused(write: Write) -> None:
    root = write({"given_away.py": dedent(TASK) + "\n\nmine = [train]\ntrain = None\n"})
    task = module_of(root, "given_away").mine[0]
    with pytest.raises(ModuleLoadError, match=r"\(train of given_away\) is in no variable of a module"):
        RESOLVER.loader_args(task, root)


def test_task_outside_the_root_folder_is_refused_with_a_root_that_fits(write: Write, tmp_path: Path) -> None:
    root = write({"inside/a.py": "", "outside.py": TASK})
    task = module_of(root, "outside").train
    with pytest.raises(ModuleLoadError, match=rf"outside the root folder .*inside.* Choose a root .*: {root}$"):
        RESOLVER.loader_args(task, root / "inside")


def test_task_of_a_program_without_a_file_is_refused_in_favour_of_a_pickle(write: Write) -> None:
    root = write({})
    program = script().replace('if __name__ == "__main__":', "if True:")
    done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=False)
    assert "'digits.train' is declared in '__main__', which is no file" in done.stderr
    assert "pkl=" in done.stderr


def test_task_of_an_installed_library_is_named_as_it_is_imported(write: Write) -> None:
    root = write({".venv/lib/site-packages/winelib/tasks.py": TASK, ".venv/lib/site-packages/winelib/__init__.py": ""})
    task = module_of(root / ".venv/lib/site-packages", "winelib.tasks").train
    arguments = RESOLVER.loader_args(task, root)
    assert arguments == mod("winelib.tasks", "train")
    assert RESOLVER.load_task(arguments, root / "elsewhere") is task


def test_folder_with_a_dot_in_its_name_is_refused(write: Write) -> None:
    root = write({"v1.2/dotted.py": TASK})
    task = module_of(root / "v1.2", "dotted").train
    with pytest.raises(ModuleLoadError, match=r"v1\.2.* cannot be part of a module's name, as it has a dot"):
        RESOLVER.loader_args(task, root)


def test_folders_of_a_loaded_task_stay_for_what_it_imports_later(write: Write) -> None:
    later = dedent(TASK).replace("return x", "import needed_later\n    return needed_later.VALUE")
    root = write({"lazy/lazily.py": later, "lazy/needed_later.py": "VALUE = 7"})
    task: Any = RESOLVER.load_task(mod("lazy.lazily", "train"), root)
    with pytest.raises(StopIteration) as returned:
        task.func(1).send(None)
    assert returned.value.value == 7


def test_missing_module_is_an_error_that_lists_the_bundle_and_the_near_name(write: Write) -> None:
    root = write({"wine_tasks.py": TASK, "shapes/__init__.py": "", "shapes/round.py": "", ".venv/hidden.py": ""})
    said = failure(root, "wine_task")
    assert "module 'wine_task' is not in the code bundle, which has shapes, shapes.round, wine_tasks (looked" in said
    assert said.endswith("Did you mean 'wine_tasks'?")


def test_module_that_lies_in_another_folder_is_offered(write: Write) -> None:
    root = write({"very/deep/down/below/here/w.py": TASK})
    assert failure(root, "w").endswith("Did you mean 'very.deep.down.below.here.w'?")


def test_missing_module_of_a_long_list_says_how_many_more_there_are(write: Write) -> None:
    root = write({f"many_{number:03}.py": "" for number in range(45)})
    assert "many_019 and 25 more (looked in" in failure(root, "zzz")


def test_empty_bundle_is_said_to_be_empty(write: Write) -> None:
    assert "which has no Python files" in failure(write({"readme.txt": ""}), "wine")


def test_missing_task_is_an_error_that_lists_the_tasks_of_the_module(write: Write) -> None:
    more = "\n\n@env.task\nasync def predict() -> None: ...\n"
    root = write({"two_tasks.py": dedent(TASK) + more})
    said = failure(root, "two_tasks", "trian")
    assert f"({root / 'two_tasks.py'}) has no task 'trian'; it has predict, train. Did you mean 'train'?" in said


def test_module_without_tasks_is_said_to_have_none(write: Write) -> None:
    assert failure(write({"no_tasks.py": "x = 1"}), "no_tasks").endswith("it has no tasks at all.")


def test_variable_that_holds_no_task_is_said_to_be_what_it_is(write: Write) -> None:
    root = write({"other_things.py": TASK})
    said = failure(root, "other_things", "env")
    assert said.startswith("'env' of module 'other_things'")
    assert "is no task but a TaskEnvironment; it has train." in said


def test_module_that_fails_is_an_error_with_its_line_and_the_cause(write: Write) -> None:
    root = write({"fails/__init__.py": "", "fails/wine.py": "import fails.deep", "fails/deep.py": "x = 1\n1 / 0\n"})
    with pytest.raises(
        ModuleLoadError, match=r"'fails\.wine' fails to import at fails/deep\.py:2: ZeroDivis"
    ) as raised:
        RESOLVER.load_task(mod("fails.wine", "train"), root)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert "fails/deep.py:2: ZeroDivisionError: division by zero." in failure(root, "fails.wine")


def test_module_with_a_syntax_error_is_an_error_with_its_line(write: Write) -> None:
    assert "at broken_syntax.py:2: SyntaxError" in failure(
        write({"broken_syntax.py": "x = 1\nx = = 2\n"}), "broken_syntax"
    )


def test_missing_dependency_is_not_taken_for_a_missing_module_of_the_bundle(write: Write) -> None:
    said = failure(write({"needs_more.py": "import no_such_package_here"}), "needs_more")
    assert "at needs_more.py:1: ModuleNotFoundError: No module named 'no_such_package_here'." in said
    assert "Add what has 'no_such_package_here' to the image" in said


def test_module_that_ends_the_program_is_an_error_and_no_end(write: Write) -> None:
    said = failure(write({"exits.py": "import sys\nsys.exit(3)\n"}), "exits")
    assert "'exits' ends the program when it is imported (sys.exit(3) at exits.py:2)" in said
    assert '`if __name__ == "__main__":`' in said


def test_file_whose_name_is_taken_by_a_loaded_module_is_an_error(write: Write) -> None:
    said = failure(write({"json.py": TASK}), "json")
    assert said.startswith("json.py cannot be imported as 'json': the name 'json' is taken by ")


def test_second_copy_of_the_same_code_is_an_error_that_says_so(write: Write, tmp_path: Path) -> None:
    root = write({"copied/__init__.py": "", "copied/wine.py": TASK})
    shutil.copytree(root, tmp_path / "second")
    RESOLVER.load_task(mod("copied.wine", "train"), tmp_path / "second")
    said = failure(root, "copied.wine")
    assert f"is taken by {tmp_path / 'second' / 'copied' / 'wine.py'}. That seems to be another copy" in said


def test_folder_whose_name_is_taken_by_a_package_is_an_error(write: Write) -> None:
    said = failure(write({"email/wine.py": TASK}), "email.wine")
    assert said.startswith("email/wine.py cannot be imported as 'email.wine': the name 'email' is taken by ")


@pytest.mark.parametrize(
    "arguments", [[], ["mod", "a"], ["mod", "a", "instance"], ["mod", "", "instance", "x"], ["a"] * 4]
)
def test_arguments_of_another_form_are_refused(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(ModuleLoadError, match="a task is found by 'mod <module> instance <name>', got"):
        RESOLVER.load_task(arguments, tmp_path)
