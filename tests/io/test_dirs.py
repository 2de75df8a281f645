"""`flyte.io.Dir` by itself: made, walked, read, refused; in local folders and in an S3 store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import BlobType, LiteralType

from flyte.errors import DataChangedError, DataNotFoundError, InvalidAddressError, StorageError
from flyte.io import Dir, EmptyDir, File
from flyte.storage import Local
from flyte.storage._digests import is_digest
from flyte.storage._settings import use_storage
from flyte.types import TypeEngine, TypeTransformerFailedError
from tests.running import running
from tests.s3 import S3Server, settings

TREE = {
    "a.csv": "1",
    "b.txt": "2",
    "inner/c.csv": "3",
    "inner/deep/d.csv": "4",
    "other/b.txt": "5",
}


@pytest.fixture(params=["local", "s3"])
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The raw data path of the task that the test runs in, on each kind of store."""
    path = str(tmp_path / "raw")
    use_storage(Local(flush=False))
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        use_storage(settings(server.url))
        path = f"s3://{server.new_bucket()}/raw"
    with running(path, tmp_path):
        yield path
    use_storage(None)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's, in the working directory."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return grow(work / "mine", TREE)


def grow(folder: Path, tree: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def tree_of(folder: str | Path) -> dict[str, str]:
    """The files below a local folder."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(paths)}


def text_of(file: File[Any]) -> str:
    with file.open_sync("r") as opened:
        text: str = opened.read()
    return text


def names(folder: Dir[Any], **how: Any) -> list[str]:
    return [file.path.removeprefix(f"{folder.path}/") for file in folder.walk_sync(**how)]


def to_literal(value: Any, annotation: Any) -> Literal:
    return asyncio.run(TypeEngine.to_literal(value, annotation, TypeEngine.to_literal_type(annotation)))


def back(value: Any, annotation: Any) -> Any:
    """The value as a task with this annotation gets it."""
    return asyncio.run(TypeEngine.to_python_value(to_literal(value, annotation), annotation))


# from_local and download


def test_local_folder_becomes_a_copy_below_the_raw_data_path(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine)
    assert folder.path.startswith(f"{raw}/")
    assert folder.name == "mine"
    assert tree_of(folder.download_sync("down")) == TREE


def test_later_change_of_the_original_does_not_change_the_copy(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync("mine")
    (mine / "a.csv").write_text("changed")
    (mine / "b.txt").unlink()
    assert tree_of(folder.download_sync("down")) == TREE


def test_awaited_form_does_the_same(raw: str, mine: Path) -> None:
    async def everything() -> None:
        folder: Dir[Any] = await Dir.from_local(mine)
        assert await folder.exists()
        assert [file.name async for file in folder.walk(max_depth=1)] == ["a.csv", "b.txt"]
        assert [file.name async for file in folder.walk(file_pattern="d.*")] == ["d.csv"]
        assert [file.name for file in await folder.list_files()] == ["a.csv", "b.txt"]
        found = await folder.get_file("inner/c.csv")
        assert found is not None
        assert await folder.get_file("missing") is None
        assert tree_of(await folder.download("down")) == TREE

    asyncio.run(everything())


def test_folder_has_the_hash_of_its_names_and_content(raw: str, mine: Path) -> None:
    def hash_now() -> str | None:
        folder: Dir[Any] = Dir.from_local_sync(mine)
        return folder.hash

    first = hash_now()
    assert is_digest(first)
    assert hash_now() == first
    (mine / "a.csv").write_text("9")
    changed = hash_now()
    assert changed != first
    (mine / "a.csv").write_text("1")
    (mine / "a.csv").rename(mine / "z.csv")
    assert hash_now() not in (first, changed)


def test_hash_that_the_user_gave_stays(raw: str, mine: Path) -> None:
    assert Dir.from_local_sync(mine, dir_cache_key="v1").hash == "v1"


def test_copy_goes_to_the_destination_that_is_given(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine, f"{raw}/chosen")
    assert (folder.path, folder.name) == (f"{raw}/chosen", "chosen")
    assert names(folder) == sorted(TREE)


def test_outside_a_task_a_folder_is_copied_when_it_is_given_to_one(mine: Path, tmp_path: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync("mine")
    assert folder.path == str(mine)
    with running(str(tmp_path / "raw"), tmp_path):
        got = back(folder, Dir)
    assert got.path.startswith(str(tmp_path / "raw"))
    assert is_digest(got.hash)
    assert names(got) == sorted(TREE)


def test_download_into_a_folder_keeps_its_other_files(raw: str, mine: Path) -> None:
    grow(Path("down"), {"kept.txt": "k"})
    Dir.from_local_sync(mine).download_sync("down")
    assert tree_of("down") == {**TREE, "kept.txt": "k"}


def test_download_without_a_target_is_somewhere_on_this_machine(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine)
    got = folder.download_sync()
    assert tree_of(got) == TREE
    assert (got == folder.path) is not raw.startswith("s3:")


def test_links_are_copied_as_what_they_lead_to(raw: str, mine: Path) -> None:
    grow(Path("elsewhere"), {"x.txt": "x"})
    (mine / "file-link").symlink_to(mine / "a.csv")
    (mine / "folder-link").symlink_to(Path("elsewhere").absolute())
    folder: Dir[Any] = Dir.from_local_sync(mine)
    assert tree_of(folder.download_sync("down")) == {**TREE, "file-link": "1", "folder-link/x.txt": "x"}


def test_files_of_any_name_come_back(raw: str, mine: Path) -> None:
    tree = {name: name for name in ["with blank", "größe/ü.txt", "a%20b#c?", "日本", ".hidden/.file", "[x]", "a+b&c=d"]}
    folder: Dir[Any] = Dir.from_local_sync(grow(Path("odd"), tree))
    assert names(folder) == sorted(tree)
    assert tree_of(folder.download_sync("down")) == tree
    assert all(text_of(file) == tree[file.path.removeprefix(f"{folder.path}/")] for file in folder.walk_sync())


def test_ten_thousand_files_travel(tmp_path: Path) -> None:
    use_storage(Local(flush=False))
    tree = {f"{n % 100:02}/{n:05}.txt": str(n) for n in range(10_000)}
    source = grow(tmp_path / "many", tree)
    with running(str(tmp_path / "raw"), tmp_path):
        folder: Dir[Any] = Dir.from_local_sync(source)
        assert names(folder) == sorted(tree)
        assert tree_of(folder.download_sync(tmp_path / "down")) == tree
    use_storage(None)


# looking into it


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, ["a.csv", "b.txt", "inner/c.csv", "inner/deep/d.csv", "other/b.txt"]),
        ({"recursive": False}, ["a.csv", "b.txt"]),
        ({"max_depth": 1}, ["a.csv", "b.txt"]),
        ({"max_depth": 2}, ["a.csv", "b.txt", "inner/c.csv", "other/b.txt"]),
        ({"max_depth": 9}, ["a.csv", "b.txt", "inner/c.csv", "inner/deep/d.csv", "other/b.txt"]),
        ({"recursive": False, "max_depth": 9}, ["a.csv", "b.txt"]),
        ({"file_pattern": "*.csv"}, ["a.csv", "inner/c.csv", "inner/deep/d.csv"]),
        ({"file_pattern": "b.*", "recursive": False}, ["b.txt"]),
        ({"file_pattern": "nothing"}, []),
    ],
)
def test_walk_gives_the_files_that_were_asked_for(
    raw: str, mine: Path, how: dict[str, Any], expected: list[str]
) -> None:
    assert names(Dir.from_local_sync(mine), **how) == expected


def test_files_right_in_a_folder_are_listed(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine)
    assert [file.name for file in folder.list_files_sync()] == ["a.csv", "b.txt"]


def test_file_of_a_folder_is_got_by_its_relative_path(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine)
    found = folder.get_file_sync("inner/deep/d.csv")
    assert found is not None
    assert text_of(found) == "4"
    assert folder.get_file_sync("missing.csv") is None
    assert folder.get_file_sync("inner") is None


def test_file_of_a_folder_that_is_written_anew_has_the_hash_of_its_content(raw: str, mine: Path) -> None:
    file = next(Dir.from_local_sync(mine).walk_sync())
    before = file.hash
    with file.open_sync("w") as opened:
        opened.write("new")
    assert file.hash != before
    assert is_digest(file.hash)


def test_file_of_a_folder_without_a_hash_has_none(raw: str, mine: Path) -> None:
    assert [file.hash for file in Dir(path=str(mine)).list_files_sync()] == [None, None]
    assert [file.hash for file in Dir(path=str(mine), hash="v1").list_files_sync()] == [None, None]


def test_new_folder_is_filled_file_by_file(raw: str) -> None:
    folder: Dir[Any] = Dir.new_remote("made")
    assert not folder.exists_sync()
    with File(path=f"{folder.path}/x.txt").open_sync("w") as opened:
        opened.write("x")
    assert folder.exists_sync()
    assert names(back(folder, Dir)) == ["x.txt"]


def test_existing_folder_is_neither_copied_nor_looked_at(raw: str) -> None:
    folder: Dir[Any] = Dir.from_existing_remote(f"{raw}/missing/", "v1")
    assert (folder.name, folder.hash) == ("missing", "v1")
    assert not folder.exists_sync()


def test_folder_with_a_slash_at_its_end_is_walked(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine)
    again: Dir[Any] = Dir(path=f"{folder.path}/")
    assert [file.path for file in again.walk_sync()] == [file.path for file in folder.walk_sync()]


def test_relative_path_is_recorded_as_absolute(mine: Path) -> None:
    assert Dir.from_existing_remote("mine").path == str(mine)
    assert to_literal(Dir(path="mine"), Dir).scalar.blob.uri == str(mine)


def test_file_is_no_folder_that_exists(raw: str, mine: Path) -> None:
    file: File[Any] = File.from_local_sync(mine / "a.csv")
    assert not Dir(path=file.path).exists_sync()


# integrity


@pytest.mark.parametrize("change", ["changed", "added", "shorter"])
def test_download_of_a_folder_that_changed_fails(raw: str, mine: Path, change: str) -> None:
    (mine / "a.csv").write_text("long")
    folder: Dir[Any] = Dir.from_local_sync(mine)
    name, text = {"changed": ("a.csv", "LONG"), "added": ("new.csv", "1"), "shorter": ("a.csv", "l")}[change]
    with File(path=f"{folder.path}/{name}").open_sync("w") as opened:
        opened.write(text)
    with pytest.raises(DataChangedError):
        folder.download_sync("down")


def test_folder_under_a_hash_of_the_user_may_change(raw: str, mine: Path) -> None:
    folder: Dir[Any] = Dir.from_local_sync(mine, dir_cache_key="v1")
    with File(path=f"{folder.path}/a.csv").open_sync("w") as opened:
        opened.write("new")
    assert tree_of(folder.download_sync("down"))["a.csv"] == "new"


# empty folders


def empty_folders() -> list[Dir[Any]]:
    return [Dir.empty(), EmptyDir(), back(Dir.empty(), Dir), Dir.model_validate(Dir.empty().model_dump())]


def test_empty_folder_is_there_and_holds_nothing(raw: str, mine: Path) -> None:
    for number, folder in enumerate(empty_folders()):
        assert folder.is_empty
        assert folder.exists_sync()
        assert list(folder.walk_sync()) == folder.list_files_sync() == []
        assert folder.get_file_sync("x") is None
        assert tree_of(folder.download_sync(f"down-{number}")) == {}
        assert Path(f"down-{number}").is_dir()


def test_local_folder_without_files_travels(raw: str, mine: Path) -> None:
    Path("nothing").mkdir()
    got = back(Dir.from_local_sync("nothing"), Dir)
    assert got.exists_sync()
    assert list(got.walk_sync()) == []
    assert got.is_empty is raw.startswith("s3:")


def test_empty_folder_is_an_annotation_too() -> None:
    got = back(EmptyDir(), EmptyDir)
    assert type(got) is Dir
    assert got.is_empty
    assert back(Dir.empty(), Dir) == back(Dir(path=got.path), EmptyDir) == got


# wire form


def test_literal_type_is_the_official_blob() -> None:
    expected = LiteralType(blob=BlobType(dimensionality=BlobType.BlobDimensionality.MULTIPART))
    assert TypeEngine.to_literal_type(Dir) == TypeEngine.to_literal_type(Dir[str]) == expected


def test_literal_is_the_official_blob() -> None:
    literal = to_literal(Dir(path="s3://b/k", format="csv", hash="v1"), Dir)
    assert literal.scalar.blob.uri == "s3://b/k"
    assert literal.scalar.blob.metadata.type.format == "csv"
    assert literal.scalar.blob.metadata.type.dimensionality == BlobType.BlobDimensionality.MULTIPART
    assert literal.hash == "v1"


@pytest.mark.parametrize(("value", "annotation"), [(Dir(path="s3://b/k"), File), (File(path="s3://b/k"), Dir)])
def test_literal_of_the_other_kind_is_refused_with_the_right_annotation(value: Any, annotation: Any) -> None:
    literal = to_literal(value, type(value))
    with pytest.raises(TypeTransformerFailedError, match="it is recorded as a") as caught:
        asyncio.run(TypeEngine.to_python_value(literal, annotation))
    assert caught.value.fix == f"Annotate `{type(value).__name__}`."


def test_json_schema_is_recognised() -> None:
    assert Dir.schema_match(Dir.model_json_schema())
    assert not File.schema_match(Dir.model_json_schema())


# bad inputs


def link_to_above() -> Any:
    (Path("mine") / "loop").symlink_to(Path("mine").absolute())
    return Dir.from_local_sync("mine")


def link_to_nowhere() -> Any:
    (Path("mine") / "nowhere").symlink_to("missing")
    return Dir.from_local_sync("mine")


def pipe() -> Any:
    os.mkfifo("mine/pipe")
    return Dir.from_local_sync("mine")


WRONG: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "missing": (lambda: Dir.from_local_sync("missing"), DataNotFoundError),
    "a file": (lambda: Dir.from_local_sync("mine/a.csv"), StorageError),
    "a NUL in the path": (lambda: Dir.from_local_sync("a\0b"), StorageError),
    "a URL": (lambda: Dir.from_local_sync("s3://bucket/key"), StorageError),
    "a link to a folder around it": (link_to_above, InvalidAddressError),
    "a link that leads nowhere": (link_to_nowhere, DataNotFoundError),
    "a pipe in it": (pipe, StorageError),
    "no files at the same time": (lambda: Dir.from_local_sync("mine", batch_size=0), ValueError),
    "walking what is not there": (lambda: list(Dir(path="missing").walk_sync()), DataNotFoundError),
    "walking a file": (lambda: list(Dir(path="mine/a.csv").walk_sync()), StorageError),
    "listing what is not there": (lambda: Dir(path="missing").list_files_sync(), DataNotFoundError),
    "no levels": (lambda: list(Dir(path="mine").walk_sync(max_depth=0)), ValueError),
    "negative levels": (lambda: list(Dir(path="mine").walk_sync(max_depth=-1)), ValueError),
    "downloading what is not there": (lambda: Dir(path="missing").download_sync(), DataNotFoundError),
    "downloading what is not there to a place": (lambda: Dir(path="missing").download_sync("x"), DataNotFoundError),
    "downloading a file": (lambda: Dir(path="mine/a.csv").download_sync(), StorageError),
    "downloading onto a file": (lambda: Dir(path="mine").download_sync("mine/a.csv"), StorageError),
    "a file of the folder above": (lambda: Dir(path="mine").get_file_sync("../x"), InvalidAddressError),
    "a file by its absolute path": (lambda: Dir(path="mine").get_file_sync("/etc/passwd"), InvalidAddressError),
    "a file without a name": (lambda: Dir(path="mine").get_file_sync(""), InvalidAddressError),
    "no path": (lambda: Dir.model_validate({}), ValueError),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_folder_is_refused(raw: str, mine: Path, case: str) -> None:
    wrong, error = WRONG[case]
    with pytest.raises(error):
        wrong()
