from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

import flyte
from flyte._run.backups import back_up, restore
from flyte._store.database import connect, migrations
from flyte._store.reader import StoreReader
from flyte._store.writer import Writer
from flyte.errors import RuntimeUserError, StoreVersionError

env = flyte.TaskEnvironment(name="backed_up")


@env.task
async def large(size: int) -> str:
    return "x" * size


def test_restored_home_has_the_runs_and_what_they_returned(flyte_home: Path, tmp_path: Path) -> None:
    run = flyte.run(large, 100_000)
    (flyte_home / "images" / "venv").mkdir(parents=True)
    (flyte_home / "images" / "venv" / "python").write_text("rebuilt")
    (flyte_home / "runs" / "link").symlink_to("/etc/hostname")
    archive = tmp_path / "kept" / "home.tar.gz"
    made = back_up(flyte_home, archive)
    assert (made.runs, made.left_out) == (1, ("runs/link",))
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    other = tmp_path / "other"
    assert restore(archive, other).runs == 1
    with StoreReader(other) as store:
        found = store.load_run(run.name)
        outputs = store.load_outputs(store.load_action(found, "a0"))
    assert outputs is not None
    assert b"x" * 100_000 in outputs
    assert not (other / "images").exists()


def test_home_can_be_backed_up_while_it_is_written_to(flyte_home: Path, tmp_path: Path) -> None:
    flyte.run(large, 10)
    writer = Writer(flyte_home)
    flyte.run(large, 20)
    assert back_up(flyte_home, tmp_path / "a.tar.gz").runs == 2
    writer.close()


def test_backup_takes_no_files_place(flyte_home: Path, tmp_path: Path) -> None:
    flyte.run(large, 10)
    (tmp_path / "a.tar.gz").write_text("mine")
    with pytest.raises(RuntimeUserError, match="exists"):
        back_up(flyte_home, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_text() == "mine"


def test_home_without_a_store_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUserError, match="nothing was recorded"):
        back_up(tmp_path, tmp_path / "a.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_home_with_something_in_it_is_left_as_it_is(flyte_home: Path, tmp_path: Path) -> None:
    flyte.run(large, 10)
    back_up(flyte_home, tmp_path / "a.tar.gz")
    with pytest.raises(RuntimeUserError, match="not empty"):
        restore(tmp_path / "a.tar.gz", flyte_home)


def archive_of(path: Path, **members: tarfile.TarInfo | bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, member in members.items():
            if isinstance(member, bytes):
                info = tarfile.TarInfo(name.replace("__", "."))
                info.size = len(member)
                archive.addfile(info, io.BytesIO(member))
            else:
                archive.addfile(member)
    return path


def _outside() -> tarfile.TarInfo:
    info = tarfile.TarInfo("../outside")
    info.size = 0
    return info


def _link() -> tarfile.TarInfo:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize("case", ["text", "cut", "outside", "link", "empty"])
def test_file_that_is_no_backup_leaves_nothing(flyte_home: Path, tmp_path: Path, case: str) -> None:
    source = tmp_path / "source"
    if case == "text":
        source.write_text("hello")
    elif case == "cut":
        flyte.run(large, 10)
        back_up(flyte_home, source)
        source.write_bytes(source.read_bytes()[:-500])
    else:
        members = {"outside": {"x": _outside()}, "link": {"x": _link()}, "empty": {"x__txt": b""}}
        archive_of(source, **members[case])  # type: ignore[arg-type]
    with pytest.raises(RuntimeUserError, match="no backup"):
        restore(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "outside").exists()


def test_store_of_a_newer_release_is_not_restored(flyte_home: Path, tmp_path: Path) -> None:
    flyte.run(large, 10)
    connection = connect(flyte_home / "store.db")
    connection.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    store = (flyte_home / "store.db").read_bytes()
    archive_of(tmp_path / "a.tar.gz", store__db=store)
    with pytest.raises(StoreVersionError):
        restore(tmp_path / "a.tar.gz", tmp_path / "other")
    assert not (tmp_path / "other").exists()
