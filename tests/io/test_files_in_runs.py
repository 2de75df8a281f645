"""Files and folders on their way through runs: in every kind of value, cached, resumed and in an S3 store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Optional, TypedDict, Union

import pytest
from pydantic import BaseModel

import flyte
from flyte.errors import DataNotFoundError, RuntimeDataValidationError, RuntimeUserError
from flyte.io import Dir, File, HashFunction
from flyte.storage._settings import use_storage
from tests.s3 import S3Server, settings

env = flyte.TaskEnvironment(name="data")
cached = flyte.TaskEnvironment(name="cached-data", cache="auto")
CALLS: list[str] = []
IS_BROKEN = False


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the user's, in the working directory."""
    global IS_BROKEN
    IS_BROKEN = False
    CALLS.clear()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.txt").write_text("in the folder")
    (tmp_path / "mine.txt").write_text("mine")
    return tmp_path / "mine.txt"


def text_of(file: File[Any]) -> str:
    with file.open_sync("r") as opened:
        text: str = opened.read()
    return text


def given(name: str = "mine.txt") -> File[Any]:
    return File.from_local_sync(name)


def folder() -> Dir[Any]:
    return Dir.from_local_sync("folder")


def run(task: Any, *args: Any, **how: Any) -> Any:
    return flyte.with_runcontext(**how).run(task, *args).outputs()[0]


@dataclass
class Pair:
    file: File
    folder: Dir
    more: Optional[File] = None


class Model(BaseModel):
    file: File
    files: list[File]
    folder: Optional[Dir] = None


class Named(NamedTuple):
    file: File
    number: int


class Typed(TypedDict):
    file: File
    number: int


@env.task
def read(file: File) -> str:
    return f"{file.name}: {text_of(file)}"


@env.task
async def read_awaited(file: File) -> str:
    async with file.open("r") as opened:
        return f"{file.name}: {await opened.read()}"


@env.task
def write(text: str) -> File:
    Path("made.txt").write_text(text)
    return File.from_local_sync("made.txt")


@env.task
async def write_awaited(text: str) -> File:
    file: File[Any] = File.new_remote("made.txt")
    async with file.open("w") as opened:
        await opened.write(text)
    return file


@env.task
def from_one_to_the_next(text: str) -> str:
    file = write(text)
    Path("made.txt").write_text("changed later")
    return read(file)


@env.task
async def awaited_from_one_to_the_next(text: str) -> str:
    return await read_awaited(await write_awaited(text))


@pytest.mark.parametrize("task", [from_one_to_the_next, awaited_from_one_to_the_next])
def test_file_goes_from_one_task_to_the_next(task: Any) -> None:
    assert run(task, "text") == "made.txt: text"


@pytest.mark.parametrize("task", [from_one_to_the_next, awaited_from_one_to_the_next])
def test_file_goes_from_one_task_to_the_next_through_a_store(task: Any, s3: S3Server, flyte_home: Path) -> None:
    use_storage(settings(s3.url))
    bucket = s3.new_bucket()
    assert run(task, "text", raw_data_path=f"s3://{bucket}/raw") == "made.txt: text"
    assert [key for key in s3.keys(bucket) if not key.startswith("raw/")] == []
    assert [key.rpartition("/")[2] for key in s3.keys(bucket)] == ["made.txt"]
    assert list(flyte_home.rglob("made.txt")) == []
    use_storage(None)


def test_input_is_copied_when_the_run_gets_it(mine: Path, flyte_home: Path) -> None:
    file = given()
    mine.write_text("changed before the run")
    assert run(read, file) == "mine.txt: changed before the run"
    assert Path(file.path).is_relative_to(flyte_home)
    mine.write_text("changed after")
    assert run(read, file) == "mine.txt: changed before the run"


def test_input_that_is_gone_when_the_run_gets_it_fails_the_run(mine: Path) -> None:
    file = given()
    mine.unlink()
    with pytest.raises((DataNotFoundError, RuntimeUserError, RuntimeDataValidationError), match=r"mine\.txt"):
        run(read, file)


@env.task
def take_pair(value: Pair) -> Pair:
    assert text_of(value.file) == "mine"
    assert [file.name for file in value.folder.walk_sync()] == ["x.txt"]
    return value


@env.task
def take_model(value: Model) -> Model:
    assert [text_of(file) for file in [value.file, *value.files]] == ["mine", "mine"]
    return value


@env.task
def take_named(value: Named) -> Named:
    assert text_of(value.file) == "mine"
    return value


@env.task
def take_typed(value: Typed) -> Typed:
    assert text_of(value["file"]) == "mine"
    return value


@env.task
def take_tuple(value: tuple[File, int]) -> tuple[File, int]:
    assert text_of(value[0]) == "mine"
    return value


@env.task
def take_list(value: list[File]) -> list[File]:
    assert [text_of(file) for file in value] == ["mine", "mine"]
    return value


@env.task
def take_dict(value: dict[str, File]) -> dict[str, File]:
    assert text_of(value["a"]) == "mine"
    return value


@env.task
def take_nested(value: dict[str, list[Optional[File]]]) -> dict[str, list[Optional[File]]]:
    return value


@env.task
def take_optional(value: Optional[File]) -> Optional[File]:
    return value


@env.task
def take_either(value: Union[File, Dir]) -> Union[File, Dir]:
    return value


@env.task
def take_file_or_text(value: File | str) -> File | str:
    return value


@env.task
def take_parameter(value: File[str]) -> File[str]:
    assert text_of(value) == "mine"
    return value


@env.task
def take_dir(value: Dir[str]) -> Dir[str]:
    assert [text_of(file) for file in value.walk_sync()] == ["in the folder"]
    return value


VALUES: dict[str, tuple[Any, Callable[[], Any]]] = {
    "dataclass": (take_pair, lambda: Pair(given(), folder())),
    "dataclass, all fields": (take_pair, lambda: Pair(given(), folder(), given())),
    "pydantic model": (take_model, lambda: Model(file=given(), files=[given()])),
    "pydantic model, all fields": (take_model, lambda: Model(file=given(), files=[given()], folder=folder())),
    "named tuple": (take_named, lambda: Named(given(), 1)),
    "typed dict": (take_typed, lambda: Typed(file=given(), number=1)),
    "tuple": (take_tuple, lambda: (given(), 1)),
    "list": (take_list, lambda: [given(), given()]),
    "dict": (take_dict, lambda: {"a": given()}),
    "nested": (take_nested, lambda: {"a": [given(), None]}),
    "optional": (take_optional, given),
    "none": (take_optional, lambda: None),
    "file of either": (take_either, given),
    "folder of either": (take_either, folder),
    "file or text: file": (take_file_or_text, given),
    "file or text: text": (take_file_or_text, lambda: "text"),
    "plain file for File[str]": (take_parameter, given),
    "File[str]": (take_parameter, lambda: File[str].from_local_sync("mine.txt")),
    "Dir[str]": (take_dir, lambda: Dir[str].from_local_sync("folder")),
    "plain folder for Dir[str]": (take_dir, folder),
}


@pytest.mark.parametrize("case", VALUES)
def test_files_travel_in_values_of_every_kind(case: str, flyte_home: Path, mine: Path) -> None:
    task, make = VALUES[case]
    value = make()
    outputs = flyte.run(task, value).outputs()
    got = tuple(outputs) if isinstance(value, tuple) else outputs[0]
    assert got == value  # The run has put each of them where it says now.
    assert str(mine.parent / "mine.txt") not in repr(got)


WRONG: dict[str, tuple[Any, Any, str]] = {
    "text for a file": (read, "mine.txt", "from_local_sync"),
    "path for a file": (read, Path("mine.txt"), "from_local_sync"),
    "number for a file": (read, 5, r"expects flyte\.io\.File, got int"),
    "None for a file": (read, None, "File"),
    "bytes for a file": (read, b"mine", "File"),
    "folder for a file": (read, Dir(path="folder"), "File"),
    "file for a folder": (take_dir, File(path="mine.txt"), "Dir"),
    "text for a folder": (take_dir, "folder", "from_local_sync"),
    "text in a list of files": (take_list, ["mine.txt"], "from_local_sync"),
    "text in a dict of files": (take_dict, {"a": "mine.txt"}, "from_local_sync"),
    "one file for a list": (take_list, File(path="mine.txt"), "list"),
    "text for file or folder": (take_either, "mine.txt", "File"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_file_is_refused_with_what_to_do(case: str) -> None:
    task, value, expected = WRONG[case]
    with pytest.raises(Exception, match=expected):
        run(task, value)


@env.task
def points_nowhere() -> str:
    return text_of(File(path="missing.txt"))


def test_task_that_reads_what_is_not_there_fails_with_the_address() -> None:
    with pytest.raises(RuntimeUserError, match=r"missing\.txt"):
        run(points_nowhere)


def test_file_is_read_from_the_record_of_its_run(mine: Path) -> None:
    done = flyte.with_runcontext(name="kept").run(take_parameter, given())
    assert text_of(done.outputs()[0]) == "mine"


# caches, and runs that go on


@cached.task
def count(file: File) -> int:
    CALLS.append("count")
    return len(text_of(file))


@cached.task
def count_folder(value: Dir) -> int:
    CALLS.append("count folder")
    return sum(len(text_of(file)) for file in value.walk_sync())


@cached.task
def cached_write(text: str) -> File:
    CALLS.append("write")
    Path("made.txt").write_text(text)
    return File.from_local_sync("made.txt")


def test_cached_task_hits_on_a_file_of_equal_content_and_name(mine: Path) -> None:
    assert run(count, given()) == 4
    mine.write_text("mine")
    assert run(count, given()) == 4
    assert CALLS == ["count"]


@pytest.mark.parametrize(("name", "text"), [("other.txt", "mine"), ("mine.txt", "MINE")])
def test_cached_task_misses_on_another_name_or_content(mine: Path, name: str, text: str) -> None:
    run(count, given())
    Path(name).write_text(text)
    run(count, given(name))
    assert CALLS == ["count", "count"]


def test_cached_task_hits_on_a_folder_of_equal_content() -> None:
    for _ in range(2):
        assert run(count_folder, folder()) == len("in the folder")
    assert CALLS == ["count folder"]
    Path("folder", "new.txt").write_text("more")
    run(count_folder, folder())
    assert CALLS == ["count folder"] * 2


@env.task
def count_each(value: Dir) -> int:
    found = value.get_file_sync("x.txt")
    assert found is not None
    return sum(count(file) for file in [*value.walk_sync(), found])


def test_cached_task_hits_on_the_files_of_an_equal_folder() -> None:
    for _ in range(2):
        assert run(count_each, folder()) == 2 * len("in the folder")
    assert CALLS == ["count"]
    Path("folder", "x.txt").write_text("changed")
    assert run(count_each, folder()) == 2 * len("changed")
    assert CALLS == ["count"] * 2


@cached.task
def count_pair(pair: Pair) -> int:
    CALLS.append("count pair")
    return len(text_of(pair.file))


@cached.task
def count_model(model: Model) -> int:
    CALLS.append("count model")
    return len(text_of(model.file))


@cached.task
def count_dict(values: dict) -> int:  # type: ignore[type-arg]
    CALLS.append("count dict")
    return len(values["file"]["name"])


@pytest.mark.parametrize("wrap", ["dataclass", "model", "dict"])
def test_cached_task_hits_on_a_record_with_a_file_of_equal_content(mine: Path, wrap: str) -> None:
    def call(file: File[Any]) -> None:
        match wrap:
            case "dataclass":
                run(count_pair, Pair(file, Dir.empty()))
            case "model":
                run(count_model, Model(file=file, files=[file]))
            case _:
                run(count_dict, {"file": file.model_dump()})

    def stored_anew() -> File[Any]:
        made: File[Any] = run(write, mine.read_text())
        return made

    first, second = stored_anew(), stored_anew()
    assert first.path != second.path
    call(first)
    call(second)
    assert len(CALLS) == 1
    mine.write_text("other")
    call(stored_anew())
    assert len(CALLS) == 2


def test_a_hash_of_the_user_in_a_record_counts_with_the_address(mine: Path) -> None:
    for address in (mine, mine.with_name("moved.txt")):
        address.write_text("same")
        run(count_pair, Pair(File.from_existing_remote(str(address), "v1"), Dir.empty()))
    assert CALLS == ["count pair"] * 2


def test_hash_of_the_user_decides_over_a_hit(mine: Path) -> None:
    method = HashFunction.from_fn(lambda data: data.decode().lower())
    for text in ("mine", "MINE"):
        mine.write_text(text)
        run(count, File.from_local_sync(mine, hash_method=method))
    assert CALLS == ["count"]


def test_cached_file_is_read_in_a_later_run() -> None:
    first, second = (run(cached_write, "text") for _ in range(2))
    assert CALLS == ["write"]
    assert first == second
    assert text_of(second) == "text"


@env.task
def slow_count(file: File) -> int:
    CALLS.append("slow count")
    return len(text_of(file))


@env.task
async def parent(text: str) -> int:
    CALLS.append("parent")
    Path("made.txt").write_text(text)
    found = await slow_count.aio(await File.from_local("made.txt"))
    if IS_BROKEN:
        raise ConnectionError("broken")
    return found


def test_parent_that_uploads_again_meets_its_recorded_child_in_a_resumed_run() -> None:
    global IS_BROKEN
    IS_BROKEN = True
    with pytest.raises(RuntimeUserError, match="broken"):
        flyte.with_runcontext(name="first").run(parent, "text")
    IS_BROKEN = False
    CALLS.clear()
    assert flyte.resume("first").outputs()[0] == 4
    assert CALLS == ["parent"]


def test_parent_that_uploads_again_meets_its_recorded_child_in_a_rerun_that_recovers() -> None:
    global IS_BROKEN
    IS_BROKEN = True
    with pytest.raises(RuntimeUserError, match="broken"):
        flyte.with_runcontext(name="first").run(parent, "text")
    IS_BROKEN = False
    CALLS.clear()
    assert flyte.rerun("first", recover=True).outputs()[0] == 4
    assert CALLS == ["parent"]


@env.task(timeout=timedelta(minutes=1))
def in_a_process_of_its_own(file: File, values: Dir) -> list[File]:
    Path("copied.txt").write_text(f"{os.getpid()} {text_of(file)}")
    return [File.from_local_sync("copied.txt"), *values.walk_sync()]


@pytest.mark.parametrize("store", ["local", "s3"])
def test_files_go_into_and_out_of_a_process_of_their_own(store: str, request: pytest.FixtureRequest) -> None:
    how: dict[str, Any] = {}
    if store == "s3":
        server: S3Server = request.getfixturevalue("s3")
        use_storage(settings(server.url))
        how = {"raw_data_path": f"s3://{server.new_bucket()}/raw"}
    copied, found = run(in_a_process_of_its_own, given(), folder(), **how)
    process, text = text_of(copied).split()
    assert (text, text_of(found)) == ("mine", "in the folder")
    assert int(process) != os.getpid()
    use_storage(None)


@env.task(retries=1)
async def retried(text: str) -> int:
    global IS_BROKEN
    found = await slow_count.aio(await File.from_local(_made(text)))
    if not IS_BROKEN:
        IS_BROKEN = True
        raise ConnectionError("broken once")
    return found


def _made(text: str) -> Path:
    Path("made.txt").write_text(text)
    return Path("made.txt")


def test_next_attempt_meets_the_child_that_the_last_one_gave_an_equal_file() -> None:
    assert run(retried, "text") == 4
    assert CALLS == ["slow count"]


@env.task(retries=1)
async def goes_on(text: str) -> str:
    state: File[Any] = File.named_remote("state.txt")
    if not await state.exists():
        async with state.open("w") as opened:
            await opened.write(text)
        raise ConnectionError("broken once")
    async with state.open("r") as opened:
        return str(await opened.read())


def test_next_attempt_finds_the_named_file_of_the_last_one() -> None:
    assert run(goes_on, "so far") == "so far"


@env.task
async def many(number: int) -> list[File]:
    return list(await asyncio.gather(*(write_numbered.aio(n) for n in range(number))))


@env.task
async def write_numbered(n: int) -> File:
    file: File[Any] = File.new_remote("same.txt")
    async with file.open("w") as opened:
        await opened.write(str(n))
    return file


def test_files_of_one_name_that_are_made_at_the_same_time_do_not_meet() -> None:
    files = run(many, 50)
    assert [text_of(file) for file in files] == [str(n) for n in range(50)]
