from __future__ import annotations

import gzip
import hashlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import flyte
from flyte._bundle.pickled import build_pickled_bundle, load_pickled
from flyte.errors import CodeBundleError
from flyte.models import CodeBundle
from tests.bundle.projects import write

HELPER = "RATE = 3\n\ndef triple(x: int) -> int:\n    return RATE * x\n"
CELL = """
import flyte, helper
env = flyte.TaskEnvironment("notebook")

@env.task
async def one(x: int) -> int:
    return helper.triple(x)

@env.task
async def main(x: int) -> int:
    return await one(x) if x < 10 else await main(x - 10)
"""


@pytest.fixture
def notebook(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module without a file, as the cells of a notebook are, that uses one with a file below the root."""
    write(project, {"helper.py": HELPER})
    monkeypatch.syspath_prepend(str(project))
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(CELL, vars(module))
    yield module
    sys.modules.pop("helper", None)


LOADING = """
import sys
from flyte._bundle.pickled import load_pickled
from flyte.models import CodeBundle
import flyte
task = load_pickled(CodeBundle(computed_version=sys.argv[1], pkl=sys.argv[2]))
print(task.name, flyte.run(task, x=27).outputs()[0], "helper" in sys.modules, task.code_version)
"""


def test_a_task_of_a_notebook_runs_where_its_code_is_not(notebook: ModuleType, tmp_path: Path) -> None:
    bundle = build_pickled_bundle(notebook.main)
    (tmp_path / "elsewhere").mkdir()
    command = [sys.executable, "-c", LOADING, bundle.computed_version, str(bundle.pkl)]
    done = subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"notebook.main 21 False {notebook.main.code_version}\n", "")


def test_a_pickled_bundle_has_the_form_of_flyte_2(notebook: ModuleType, flyte_home: Path) -> None:
    bundle = build_pickled_bundle(notebook.main)
    assert bundle.pkl is not None
    data = Path(bundle.pkl).read_bytes()
    assert bundle.computed_version == hashlib.md5(data).hexdigest()
    assert Path(bundle.pkl) == flyte_home / "bundles" / bundle.computed_version / "code_bundle.pkl.gz"
    assert (bundle.tgz, bundle.files, bundle.destination) == (None, None, ".")
    # No time and no name in the header.
    assert data[:8] == b"\x1f\x8b\x08\0\0\0\0\0"
    assert pickle.loads(gzip.decompress(data)).name == "notebook.main"


def test_a_notebook_may_be_in_a_home_folder(
    notebook: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    assert load_pickled(build_pickled_bundle(notebook.main)).name == "notebook.main"


def test_a_pickled_bundle_goes_through_an_object_store(notebook: ModuleType) -> None:
    bundle = build_pickled_bundle(notebook.main, to="memory://pickles")
    assert bundle.pkl == f"memory://pickles/{bundle.computed_version}/code_bundle.pkl.gz"
    assert load_pickled(bundle).name == "notebook.main"


def test_pickling_leaves_no_module_registered(notebook: ModuleType) -> None:
    import cloudpickle

    before = set(cloudpickle.list_registry_pickle_by_value())
    build_pickled_bundle(notebook.main)
    assert set(cloudpickle.list_registry_pickle_by_value()) == before


@pytest.mark.parametrize("is_of_another", [False, True])
def test_an_environment_that_includes_files_is_refused(is_of_another: bool, notebook: ModuleType) -> None:
    including = flyte.TaskEnvironment("files", include=("conf.yaml",))
    environment = flyte.TaskEnvironment("plain", depends_on=[including]) if is_of_another else including

    @environment.task
    async def main() -> int:
        return 1

    with pytest.raises(
        CodeBundleError, match=r"'files' includes .*conf\.yaml, and task '.*main' is bundled as a pickle"
    ):
        build_pickled_bundle(main)


def test_what_cannot_be_pickled_is_an_error_that_says_what_to_do(notebook: ModuleType, project: Path) -> None:
    with open(project / "open.txt", "w") as file:
        vars(notebook)["handle"] = file
        exec("@env.task\nasync def bad() -> str:\n    return handle.name\n", vars(notebook))
        with pytest.raises(
            CodeBundleError, match=r"task 'notebook\.bad' cannot be pickled: .*: make that inside the task"
        ):
            build_pickled_bundle(notebook.bad)


def test_a_task_that_holds_on_to_data_is_refused(notebook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_MIB", "1")
    vars(notebook)["rows"] = bytes(2 << 20)
    exec("@env.task\nasync def large() -> int:\n    return len(rows)\n", vars(notebook))
    with pytest.raises(
        CodeBundleError, match=r"'notebook\.large' is 2\.0 MiB when it is pickled, .* may have 1\.0 MiB"
    ):
        build_pickled_bundle(notebook.large)


def bundle_of(content: bytes, folder: Path, version: str | None = None) -> CodeBundle:
    (folder / "x.pkl.gz").write_bytes(content)
    return CodeBundle(computed_version=version or hashlib.md5(content).hexdigest(), pkl=str(folder / "x.pkl.gz"))


class Missing:
    """Pickles as something of a module that is not there."""

    def __reduce__(self) -> Any:
        return (Missing, ())


WITHOUT_MODULE = pickle.dumps(Missing(), protocol=0).replace(Missing.__module__.encode(), b"absent_module")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", r"is truncated, or more than"),
        (b"no gzip", r"is damaged \(.*incorrect header"),
        (gzip.compress(pickle.dumps(1))[:-5], r"is truncated, or more than"),
        (gzip.compress(b"no pickle"), r"cannot be loaded: UnpicklingError"),
        (gzip.compress(WITHOUT_MODULE), r"cannot be loaded: ModuleNotFoundError: .*It needs what is installed"),
        (gzip.compress(pickle.dumps(1)), r"holds a int, and a task is due"),
    ],
)
def test_what_is_no_pickled_task_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(CodeBundleError, match=f"x.pkl.gz {why}"):
        load_pickled(bundle_of(content, tmp_path))


def test_a_pickle_of_another_digest_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(CodeBundleError, match="is not what was packed: its MD5 is"):
        load_pickled(bundle_of(gzip.compress(pickle.dumps(1)), tmp_path, "0" * 32))


def test_a_pickled_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_UNPACKED_MIB", "1")
    with pytest.raises(CodeBundleError, match=r"more than 1\.0 MiB large: .* set FLYTE_BUNDLE_MAX_UNPACKED_MIB"):
        load_pickled(bundle_of(gzip.compress(bytes(2 << 20)), tmp_path))


def test_an_archive_is_no_pickled_bundle() -> None:
    with pytest.raises(CodeBundleError, match=r"is an archive at s3://b/x\.tar\.gz, not a pickled task"):
        load_pickled(CodeBundle(computed_version="v", tgz="s3://b/x.tar.gz"))
