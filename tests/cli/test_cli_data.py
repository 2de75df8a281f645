"""Files, folders and frames as inputs on the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Optional

import pandas as pd
import polars as pl
import pytest

from flyte.cli._inputs import expected_form, parse_input
from flyte.cli._json_values import Mismatch
from flyte.cli._type_texts import show_example
from flyte.io import DataFrame, Dir, File
from flyte.storage._digests import digest_of_bytes


@dataclasses.dataclass
class Sources:
    first: File[Any]
    count: int = 1


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rows.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.txt").write_text("1")
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "rows.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_path_is_a_file_where_it_is_known_by_its_content(data: Path) -> None:
    file = parse_input("rows.csv", File)
    assert (file.path, file.name) == (str(data / "rows.csv"), "rows.csv")
    assert file.hash == digest_of_bytes((data / "rows.csv").read_bytes())


def test_a_path_is_a_folder_with_its_files(data: Path) -> None:
    folder = parse_input("folder", Dir)
    assert [each.name for each in folder.walk_sync()] == ["one.txt"]
    assert folder.hash.startswith("blake3:")


@pytest.mark.parametrize(("annotation", "name"), [(File, "file"), (Dir, "dir")])
def test_an_address_in_a_store_is_taken_as_it_is(annotation: Any, name: str) -> None:
    reference = parse_input(f"s3://bucket/{name}", annotation)
    assert (reference.path, reference.hash) == (f"s3://bucket/{name}", None)


def test_files_stand_in_lists_records_and_optionals(data: Path) -> None:
    assert [each.name for each in parse_input('["rows.csv", "folder/one.txt"]', list[File[Any]])] == [
        "rows.csv",
        "one.txt",
    ]
    assert parse_input('{"first": "rows.csv"}', Sources).first.path == str(data / "rows.csv")
    assert parse_input("rows.csv", Optional[File]).name == "rows.csv"
    assert parse_input('{"path": "s3://bucket/key", "hash": "h"}', File).hash == "h"


def test_a_table_is_read_by_the_library_that_the_task_asks_for(data: Path) -> None:
    assert parse_input("rows.csv", pd.DataFrame)["b"].tolist() == ["x", "y"]
    assert parse_input("rows.parquet", pl.DataFrame)["a"].to_list() == [1, 2]
    assert parse_input("rows.parquet", DataFrame).uri == str(data / "rows.parquet")


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ("nowhere.csv", File, r"there is no file .*/nowhere\.csv"),
        ("nowhere", Dir, r"there is no folder .*/nowhere"),
        ("folder", File, r"folder is a folder, not a file"),
        ("rows.csv", Dir, r"rows\.csv is a file, not a folder"),
        ("nowhere.parquet", pd.DataFrame, r"there is no file"),
        ("folder/one.txt", DataFrame, r"neither parquet nor csv: its name ends in '\.txt'"),
        ('["nowhere"]', list[File[Any]], r"at \[0\]: there is no file"),
        ("", File, r"'' is not a path"),
    ],
)
def test_what_is_not_there_or_of_another_kind_is_refused(data: Path, text: str, annotation: Any, message: str) -> None:
    with pytest.raises(Mismatch, match=message):
        parse_input(text, annotation)


def test_help_says_what_to_type() -> None:
    assert expected_form(File) == "path or URL of a file"
    assert expected_form(pd.DataFrame) == "path or URL of a parquet file or folder, or of a .csv file"
    assert show_example(Dir) == "pictures"
    assert "of paths or URLs" in expected_form(list[File[Any]])
