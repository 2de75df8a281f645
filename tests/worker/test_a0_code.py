"""Where an attempt finds its code: packed, pickled, or in the working directory; and all of it on an object store."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.core.execution_pb2 import ErrorDocument
from flyteidl2.task.common_pb2 import Outputs

from flyte._bundle.building import build_bundle
from flyte._bundle.selection import plan_bundle
from flyte.io import File
from flyte.models import CodeBundle
from tests.s3 import KEYS, S3Server
from tests.worker.attempts import Attempts, Ended, inputs_of, value_of

TASKS = """
from helper import RATE

@env.task
def rated(x: int) -> int:
    bundle = flyte.ctx().code_bundle
    print(os.getcwd(), bundle and bundle.downloaded_path)
    return RATE * x
"""

CELL = """
import flyte
env = flyte.TaskEnvironment("cell")
@env.task
def cubed(x: int) -> int:
    return x ** 3
"""
PICKLING = """
import sys
from types import ModuleType
from flyte._bundle.pickled import build_pickled_bundle
cell = sys.modules["__main__"] = ModuleType("__main__")
exec(sys.argv[2], vars(cell))
bundle = build_pickled_bundle(cell.cubed, to=sys.argv[1])
print(bundle.computed_version, bundle.pkl)
"""


@pytest.fixture(autouse=True)
def tasks(attempts: Attempts) -> None:
    attempts.write(TASKS)
    (attempts.project / "helper.py").write_text("RATE = 3\n")
    attempts.give(x=7)


@pytest.fixture
def bundle(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> CodeBundle:
    """The project, packed; the processes start in an empty folder."""
    monkeypatch.chdir(attempts.project)
    bundle = build_bundle(plan_bundle(copy_style="all"))
    assert bundle is not None
    attempts.project = attempts.folder / "elsewhere"
    attempts.project.mkdir()
    return bundle


def pickled(folder: str) -> tuple[str, str]:
    """The version and the address of a pickled task, the third power of its input."""
    done = subprocess.run([sys.executable, "-c", PICKLING, folder, CELL], capture_output=True, text=True, check=True)
    version, address = done.stdout.split()
    return version, address


def test_code_is_found_in_the_working_directory(attempts: Attempts) -> None:
    ended = attempts.run("rated")
    assert (ended.value, ended.stdout) == (21, f"{attempts.project} None\n")


def test_packed_code_is_unpacked_where_it_is_due(attempts: Attempts, bundle: CodeBundle) -> None:
    ended = attempts.run("rated", "--tgz", str(bundle.tgz), "--dest", ".")
    assert (ended.value, ended.stdout) == (21, f"{attempts.project} {attempts.project}\n")
    ended = attempts.run("rated", "--tgz", str(bundle.tgz), "--dest", "code")
    assert (ended.value, ended.stdout) == (21, f"{attempts.project} {attempts.project}/code\n")


def test_processes_share_a_folder_of_code(attempts: Attempts, bundle: CodeBundle) -> None:
    processes = []
    for number in range(3):
        attempts.prefix = attempts.prefix.with_name(str(number))
        processes.append((attempts.prefix, attempts.start("rated", "--tgz", str(bundle.tgz))))
    for prefix, process in processes:
        attempts.prefix = prefix
        assert attempts.wait(process).value == 21


def test_a_version_that_somebody_chose_is_no_digest(attempts: Attempts, bundle: CodeBundle) -> None:
    assert attempts.run("rated", "--tgz", str(bundle.tgz), "--version", "release-1").value == 21
    _, address = pickled(str(attempts.folder))
    assert attempts.run(None, "--pkl", address, "--version", "release-1").value == 343


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def garbled(path: Path) -> None:
    path.write_bytes(b"no archive at all")


def another(path: Path) -> None:
    folder = path.parent / "other"
    folder.mkdir()
    (folder / "tasks.py").write_text("x = 1\n")
    subprocess.run(["tar", "-czf", path, "-C", folder, "tasks.py"], check=True)


@pytest.mark.parametrize("damage", [truncated, garbled, another])
def test_packed_code_that_is_damaged_or_another_is_an_error(
    attempts: Attempts, bundle: CodeBundle, damage: Callable[[Path], None]
) -> None:
    assert bundle.tgz is not None
    copy = attempts.folder / Path(bundle.tgz).name
    shutil.copyfile(bundle.tgz, copy)
    damage(copy)
    ended = attempts.run("rated", "--tgz", str(copy))
    assert (ended.exit_code, ended.files, ended.error.code) == (1, ["error.pb"], "CodeBundleError")
    assert str(copy) in ended.error.message
    assert [path.name for path in attempts.project.iterdir() if not path.name.startswith(".")] == []


def test_packed_code_that_is_not_there_is_an_error(attempts: Attempts) -> None:
    for option in (
        ("--tgz", str(attempts.folder / "absent.tar.gz")),
        ("--pkl", str(attempts.folder / "absent.pkl.gz")),
    ):
        ended = attempts.run("rated" if option[0] == "--tgz" else None, *option)
        assert (ended.exit_code, ended.error.code) == (1, "DataNotFound")


def test_a_pickled_task_runs_without_code(attempts: Attempts) -> None:
    version, address = pickled(str(attempts.folder))
    assert attempts.run(None, "--pkl", address, "--version", version).value == 343


@pytest.mark.parametrize("damage", [truncated, garbled])
def test_a_pickled_task_that_is_damaged_is_an_error(attempts: Attempts, damage: Callable[[Path], None]) -> None:
    version, address = pickled(str(attempts.folder))
    damage(Path(address))
    for each in (version, "release-1"):
        ended = attempts.run(None, "--pkl", address, "--version", each)
        assert (ended.exit_code, ended.error.code) == (1, "CodeBundleError")


def test_folders_of_the_project_are_imported_from(attempts: Attempts) -> None:
    (attempts.project / "lib").mkdir()
    shutil.move(attempts.project / "helper.py", attempts.project / "lib" / "helper.py")
    assert attempts.run("rated").error.code == "ModuleLoadError"
    assert attempts.run("rated", variables={"_F_SYS_PATH": "./other:./lib"}).value == 21


def test_data_is_read_from_where_it_was_moved_to(attempts: Attempts) -> None:
    attempts.write(
        "from flyte.io import File\n@env.task\nasync def main(file: File) -> str:\n"
        "    async with file.open('rb') as opened:\n        return (await opened.read()).decode()\n"
    )
    new = attempts.folder / "new"
    new.mkdir()
    (new / "f").write_text("moved")
    attempts.give(file=File(path="/old/place/f"))
    assert attempts.run("main", variables={"_F_PATH_REWRITE": f"/old/place->{new}"}).value == "moved"
    assert attempts.run("main", variables={"_F_PATH_REWRITE": f"/old/place->{new}/absent"}).error.code == "DataNotFound"


ON_S3 = """
@env.task(report=True)
async def main(x: int) -> int:
    checkpoint = flyte.ctx().checkpoint
    before = await checkpoint.load()
    await flyte.report.replace.aio("<p>seen</p>", do_flush=True)
    if before is None:
        folder = checkpoint.path
        (folder / "half").write_text(str(x))
        await checkpoint.save(folder)
        raise ConnectionError("lost")
    return int((before / "half").read_text()) * 2
"""


def test_all_of_an_attempt_may_be_on_an_object_store(
    attempts: Attempts, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "FLYTE_AWS_ENDPOINT": s3.url,
        "FLYTE_AWS_ACCESS_KEY_ID": KEYS["access_key_id"],
        "FLYTE_AWS_SECRET_ACCESS_KEY": KEYS["secret_access_key"],
        "AWS_REGION": KEYS["region"],
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    bucket = s3.new_bucket()
    attempts.write(ON_S3, "remote")
    monkeypatch.chdir(attempts.project)
    bundle = build_bundle(plan_bundle(copy_style="all"), to=f"s3://{bucket}/code")
    assert bundle is not None
    s3.client.put_object(Bucket=bucket, Key="r/a/inputs.pb", Body=inputs_of({"x": 21}).SerializeToString())
    s3.client.put_object(Bucket=bucket, Key="r/a/2/error.pb", Body=b"of an earlier process")

    def run(number: int) -> Ended:
        prefix = f"s3://{bucket}/r/a"
        attempts.project = attempts.folder / f"attempt-{number}"
        attempts.project.mkdir()
        options = ["--inputs", f"{prefix}/inputs.pb", "--outputs-path", f"{prefix}/{number}"]
        options += ["--checkpoint-path", f"{prefix}/{number}/_flytecheckpoints", "--prev-checkpoint"]
        options += [f"{prefix}/{number - 1}/_flytecheckpoints" if number > 1 else '""']
        options += ["--tgz", str(bundle and bundle.tgz), "--raw-data-path", f"s3://{bucket}/raw"]
        return attempts.run("main", *options, module="remote")

    def read(key: str) -> Any:
        return s3.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    assert run(1).exit_code == 0
    assert ErrorDocument.FromString(read("r/a/1/error.pb")).error.message == "lost"
    assert run(2).exit_code == 0
    assert value_of(Outputs.FromString(read("r/a/2/outputs.pb"))) == 42
    keys = [key for key in s3.keys(bucket) if key.startswith("r/")]
    assert keys == [
        "r/a/1/_flytecheckpoints",
        "r/a/1/error.pb",
        "r/a/1/report.html",
        "r/a/2/outputs.pb",
        "r/a/2/report.html",
        "r/a/inputs.pb",
    ]
    assert b"<p>seen</p>" in read("r/a/2/report.html")
