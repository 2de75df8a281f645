"""Local checkpoints: what is saved is loaded, whole or not at all."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from flyte.models import BaseCheckpoint, Checkpoint


@pytest.fixture
def dest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "attempt" / "checkpoint"


def next_attempt(dest: Path) -> Checkpoint:
    return Checkpoint(str(dest.with_name("next")), str(dest))


def test_bytes_come_back_as_a_payload_file(dest: Path) -> None:
    Checkpoint(str(dest)).save_sync(b"step 3")
    assert dest.read_bytes() == b"step 3"
    checkpoint = next_attempt(dest)
    loaded = checkpoint.load_sync()
    assert loaded == checkpoint.path / "payload"
    assert loaded.read_bytes() == b"step 3"


@pytest.mark.parametrize("form", [str, Path])
def test_file_is_saved_as_it_is(dest: Path, tmp_path: Path, form: Callable[[Path], str | Path]) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    Checkpoint(str(dest)).save_sync(form(tmp_path / "model.bin"))
    assert dest.read_bytes() == b"weights"


def test_folder_comes_back_with_its_tree(dest: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text("b")
    (folder / "sub" / "c.txt").write_text("c")
    Checkpoint(str(dest)).save_sync(folder)
    with tarfile.open(dest, mode="r:gz") as archive:
        assert archive.getnames() == ["b.txt", "sub", "sub/c.txt"]
    checkpoint = next_attempt(dest)
    assert checkpoint.load_sync() == checkpoint.path
    assert (checkpoint.path / "b.txt").read_text() == "b"
    assert (checkpoint.path / "sub" / "c.txt").read_text() == "c"


def test_async_forms_do_the_same(dest: Path) -> None:
    async def save_and_load() -> Path | None:
        await Checkpoint(str(dest)).save(b"x")
        return await next_attempt(dest).load()

    loaded = asyncio.run(save_and_load())
    assert loaded is not None
    assert loaded.read_bytes() == b"x"


def test_second_load_reads_nothing(dest: Path) -> None:
    Checkpoint(str(dest)).save_sync(b"x")
    checkpoint = next_attempt(dest)
    first = checkpoint.load_sync()
    dest.unlink()
    assert checkpoint.load_sync() == first


@pytest.mark.parametrize("source", [None, "", "  ", '""', "''"])
def test_first_attempt_has_nothing_to_load(dest: Path, source: str | None) -> None:
    checkpoint = Checkpoint(str(dest), source)
    assert not checkpoint.prev_exists()
    assert checkpoint.remote_source is None
    assert checkpoint.load_sync() is None


def test_source_that_was_never_written_loads_as_none(dest: Path) -> None:
    checkpoint = next_attempt(dest)
    assert checkpoint.prev_exists()
    assert checkpoint.load_sync() is None


def test_saving_what_does_not_exist_is_an_error_and_keeps_the_old(dest: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint(str(dest))
    checkpoint.save_sync(b"old")
    with pytest.raises(FileNotFoundError, match="missing"):
        checkpoint.save_sync(tmp_path / "missing")
    assert dest.read_bytes() == b"old"


def test_failure_while_saving_keeps_the_old_and_leaves_no_file(dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*names: object) -> None:
        raise OSError("disk gone")

    checkpoint = Checkpoint(str(dest))
    checkpoint.save_sync(b"old")
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk gone"):
        checkpoint.save_sync(b"new")
    assert [each.name for each in dest.parent.iterdir()] == ["checkpoint"]
    assert dest.read_bytes() == b"old"


def test_archive_cannot_write_outside_the_folder(dest: Path, tmp_path: Path) -> None:
    dest.parent.mkdir()
    (tmp_path / "evil").write_text("x")
    with tarfile.open(dest, mode="w:gz") as archive:
        archive.add(tmp_path / "evil", arcname="../escaped")
    with pytest.raises(tarfile.OutsideDestinationError):
        next_attempt(dest).load_sync()
    assert not list(tmp_path.rglob("escaped"))


def test_each_object_has_a_working_folder_of_its_own(dest: Path) -> None:
    one, other = Checkpoint(str(dest)), Checkpoint(str(dest))
    assert one.path == one.path != other.path
    assert one.path.is_dir()


@pytest.mark.parametrize("dest_and_source", [("s3://b/c", None), ("/c", "gs://b/c")])
def test_remote_storage_is_refused_with_its_address(dest_and_source: tuple[str, str | None]) -> None:
    with pytest.raises(NotImplementedError, match="://b/c"):
        Checkpoint(*dest_and_source)


def test_file_url_is_a_local_file(dest: Path) -> None:
    Checkpoint(f"file://{dest}").save_sync(b"x")
    assert dest.read_bytes() == b"x"


def test_base_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        BaseCheckpoint()  # type: ignore[abstract]
