"""Local data as inputs of runs on a control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

import flyte
from conformance.peer import Peer
from flyte.errors import DataNotFoundError, RuntimeUserError, WrongKindOfDataError
from flyte.io import Dir, File
from flyte.remote import upload_dir, upload_file
from tests.remote.programs import Settings, configured, read


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a file, and a folder with another."""
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "below" / "b.txt").write_text("b")
    return folder


def test_local_files_and_folders_are_uploaded(peer: Peer, data: Path) -> None:
    file, folder = File.from_local_sync(str(data / "a.txt")), Dir.from_local_sync(str(data))
    flyte.run(read, source=file, folder=folder, more=[File.from_local_sync(str(data / "below" / "b.txt"))])
    source, directory, more = (each.value for each in peer.requests("UploadInputs")[0].inputs.literals)
    assert Path(source.scalar.blob.uri).read_text() == "a"
    assert source.scalar.blob.uri.startswith(str(peer.folder))
    assert (Path(directory.scalar.blob.uri) / "below" / "b.txt").read_text() == "b"
    assert Path(more.collection.literals[0].scalar.blob.uri).read_text() == "b"


def test_data_that_is_somewhere_already_is_named_and_not_sent(peer: Peer, data: Path) -> None:
    file = File.from_existing_remote(str(data / "a.txt"))
    flyte.run(read, source=file, folder=Dir.from_existing_remote("s3://bucket/data"), more=[])
    source, directory, _ = (each.value for each in peer.requests("UploadInputs")[0].inputs.literals)
    assert source.scalar.blob.uri == str(data / "a.txt")
    assert directory.scalar.blob.uri == "s3://bucket/data"
    assert len(peer.puts) == 1  # the code


def test_a_file_inside_a_dataclass_is_uploaded_too(peer: Peer, data: Path) -> None:
    flyte.run(configured, settings=Settings(File.from_local_sync(str(data / "a.txt")), 2))
    inputs = peer.requests("UploadInputs")[0].inputs
    read_back = configured.codec.decode_inputs(inputs)["settings"]
    assert Path(read_back.source.path).read_text() == "a"
    assert read_back.source.path.startswith(str(peer.folder))
    assert read_back.times == 2


def test_a_dry_run_sends_no_data(peer: Peer, data: Path) -> None:
    with pytest.raises(RuntimeUserError, match="dry run"):
        flyte.with_runcontext(dry_run=True).run(
            configured, settings=Settings(File.from_local_sync(str(data / "a.txt")), 2)
        )
    assert peer.recorded == []


def test_a_file_is_uploaded_under_a_name(peer: Peer, data: Path) -> None:
    digest, address = upload_file(data / "a.txt", fname="other.txt", content_type="text/plain")
    assert digest == "0cc175b9c0f1b6a831c399e269772661"
    assert Path(address).name == "other.txt"
    assert Path(address).read_text() == "a"


async def test_a_folder_keeps_its_shape(peer: Peer, data: Path) -> None:
    address = await upload_dir.aio(data, prefix="mine")
    assert "mine" in Path(address).parts
    assert (Path(address) / "below" / "b.txt").read_text() == "b"


def test_what_is_not_there_is_not_uploaded(peer: Peer, data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError):
        upload_file(data / "nowhere")
    with pytest.raises(WrongKindOfDataError, match="upload_dir"):
        upload_file(data)
    with pytest.raises(WrongKindOfDataError, match="upload_file"):
        upload_dir(data / "a.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match="no file in"):
        upload_dir(tmp_path / "empty")
