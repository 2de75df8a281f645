"""Code bundles, checkpoint paths, raw data paths and rewrites."""

from __future__ import annotations

import pathlib
import random
from typing import Any

import pytest

from flyte.models import CheckpointPaths, CodeBundle, PathRewrite, RawDataPath

SEEDED = "e3e70682c2094cac629f6fbed82c07cd"


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(0)


def test_code_bundle_without_code_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Either tgz or pkl must be provided.*'v1'"):
        CodeBundle(computed_version="v1")


@pytest.mark.parametrize("code", [{"tgz": "s3://x"}, {"pkl": "x"}, {"tgz": "a", "pkl": "b"}, {"tgz": ""}])
def test_code_bundle_with_either_form_is_accepted(code: dict[str, str]) -> None:
    bundle = CodeBundle(computed_version="v", **code)  # type: ignore[arg-type]
    assert bundle.destination == "."
    assert hash(bundle) == hash(CodeBundle(computed_version="v", **code))  # type: ignore[arg-type]


def test_code_bundle_with_files_is_hashable() -> None:
    one, other = (CodeBundle(computed_version="v", tgz="t", files=["/a", "/b"]) for _ in range(2))
    assert {one, other} == {one}


def test_downloaded_copy_leaves_the_original_alone() -> None:
    bundle = CodeBundle(computed_version="v", tgz="s3://x")
    copy = bundle.with_downloaded_path(pathlib.Path("/nowhere"))
    assert copy == CodeBundle(computed_version="v", tgz="s3://x", downloaded_path=pathlib.Path("/nowhere"))
    assert bundle.downloaded_path is None


def test_reprs_show_required_fields_and_what_differs_from_the_defaults() -> None:
    assert repr(CodeBundle(computed_version="v", tgz="s3://x")) == "CodeBundle('v', tgz='s3://x')"
    assert repr(RawDataPath(path="/a")) == "RawDataPath('/a')"
    assert repr(CheckpointPaths("a", None)) == "CheckpointPaths('a', None)"
    assert repr(PathRewrite("s3://a", "/b")) == "PathRewrite('s3://a', '/b')"


def test_rich_prints_the_same_as_repr() -> None:
    from rich.pretty import pretty_repr

    bundle = CodeBundle(computed_version="v", tgz="s3://x")
    assert pretty_repr(bundle) == repr(bundle)


def test_path_object_is_created_as_a_folder(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "a" / "b"
    assert RawDataPath.from_local_folder(folder) == RawDataPath(path=str(folder))
    assert folder.is_dir()
    assert RawDataPath.from_local_folder(folder).path == str(folder)


def test_string_is_taken_as_it_is_and_nothing_is_created(tmp_path: pathlib.Path) -> None:
    assert RawDataPath.from_local_folder(f"{tmp_path}/a").path == f"{tmp_path}/a"
    assert not list(tmp_path.iterdir())


def test_no_folder_makes_a_temporary_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = pathlib.Path(RawDataPath.from_local_folder().path)
    assert path.is_dir()
    assert path.parent == tmp_path


def test_folder_of_another_type_is_refused() -> None:
    wrong: Any = 3
    with pytest.raises(ValueError, match=r"Invalid local path 3.*got int"):
        RawDataPath.from_local_folder(wrong)


def test_local_path_without_file_name_creates_the_prefix_only(tmp_path: pathlib.Path) -> None:
    prefix = tmp_path / "raw"
    assert RawDataPath(path=str(prefix)).get_random_remote_path() == f"{prefix}/{SEEDED}"
    assert prefix.is_dir()
    assert not list(prefix.iterdir())


@pytest.mark.parametrize("file_name", ["f.txt", "sub/f.txt"])
def test_local_path_with_file_name_creates_its_folders_and_not_the_file(tmp_path: pathlib.Path, file_name: str) -> None:
    path = pathlib.Path(RawDataPath(path=str(tmp_path)).get_random_remote_path(file_name))
    assert path == tmp_path / SEEDED / file_name
    assert path.parent.is_dir()
    assert not path.exists()


def test_relative_prefix_is_below_the_working_directory(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert RawDataPath(path="raw").get_random_remote_path() == str(tmp_path / "raw" / SEEDED)


def test_file_url_is_a_local_folder(tmp_path: pathlib.Path) -> None:
    assert RawDataPath(path=f"file://{tmp_path}").get_random_remote_path() == str(tmp_path / SEEDED)


@pytest.mark.parametrize(
    ("prefix", "file_name", "address"),
    [
        ("memory://b/p", None, f"memory://b/p/{SEEDED}"),
        ("memory://b/p/", None, f"memory://b/p/{SEEDED}"),
        ("memory://b/p//", None, f"memory://b/p//{SEEDED}"),
        ("s3://b", "sub/f.txt", f"s3://b/{SEEDED}/sub/f.txt"),
        ("gs://b/", "", f"gs://b/{SEEDED}"),
    ],
)
def test_remote_address_is_below_the_prefix(prefix: str, file_name: str | None, address: str) -> None:
    assert RawDataPath(path=prefix).get_random_remote_path(file_name) == address


def test_unknown_protocol_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match="Protocol not known: zzz"):
        RawDataPath(path="zzz://b").get_random_remote_path()


def test_two_addresses_differ() -> None:
    prefix = RawDataPath(path="s3://b")
    assert prefix.get_random_remote_path() != prefix.get_random_remote_path()


@pytest.mark.parametrize(("old", "new"), [("", "b"), ("a", ""), ("", "")])
def test_rewrite_with_an_empty_prefix_is_refused(old: str, new: str) -> None:
    with pytest.raises(ValueError, match="non-empty"):
        PathRewrite(old, new)


def test_rewrite_to_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="different prefixes, got 'a' twice"):
        PathRewrite("a", "a")


def test_rewrite_reads_the_arrow_form_and_keeps_blanks() -> None:
    assert PathRewrite.from_str("s3://a->/b") == PathRewrite("s3://a", "/b")
    assert PathRewrite.from_str(" a -> b") == PathRewrite(" a ", " b")


@pytest.mark.parametrize("pattern", ["ab", "a->b->c", ""])
def test_rewrite_of_another_form_is_refused_with_its_text(pattern: str) -> None:
    with pytest.raises(ValueError, match=f"{pattern!r} is not of the form"):
        PathRewrite.from_str(pattern)
