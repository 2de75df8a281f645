"""Where runs put data, what of it a record holds, and what goes when a run is deleted."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.common_pb2 import Outputs

import flyte
from flyte._run.deleting import delete_runs, plan_data
from flyte._run.engine import close_engine
from flyte._store.data_holders import entries_of
from flyte._store.leftovers import remove_leftovers
from flyte._store.reader import StoreReader
from flyte._store.records import StoredRun
from flyte.errors import InitializationError, InvalidAddressError, RuntimeUserError
from flyte.io import File
from flyte.models import PathRewrite, RawDataPath
from flyte.storage import Local
from flyte.storage._settings import given_storage
from flyte.types import TypeTransformerFailedError
from flyte.types._offloading import all_loaded, loaded, offload
from tests.s3 import S3Server, settings

env = flyte.TaskEnvironment(name="raw")
LARGE = 200_000
COMPUTED: list[str] = []


@dataclasses.dataclass
class Pair:
    left: File[Any]
    note: str


class Opaque:
    """A value that only a pickle can hold."""

    def __init__(self, file: File[Any]) -> None:
        self.file = file
        self.rest = b"x" * 20_000

    def __sizeof__(self) -> int:
        return 50_000


@env.task
def make(text: str) -> File[Any]:
    file: File[Any] = File.new_remote("made.txt")
    with file.open_sync("w") as opened:
        opened.write(text)
    return file


@env.task(timeout=60)
def make_in_process(text: str) -> File[Any]:
    return make(text)


@env.task(cache="auto")
def make_cached(text: str) -> File[Any]:
    COMPUTED.append(text)
    return make(text)


@env.task
def read(file: File[Any]) -> str:
    with file.open_sync("r") as opened:
        text: str = opened.read()
    return text


@env.task
def words(count: int) -> list[str]:
    return ["word"] * count


@env.task
def count_words(all_words: list[str]) -> int:
    return len(all_words)


@env.task
async def counted(count: int) -> int:
    return await count_words.aio(await words.aio(count))


@env.task
async def made_and_cached() -> str:
    await make.aio("mine")
    return (await make_cached.aio("cached")).path


@env.task
async def make_and_read(text: str) -> str:
    return (await make.aio(text)).path


@env.task
async def wrapped(text: str) -> Opaque:
    return Opaque(await make.aio(text))


@env.task(cache="auto")
async def wrapped_and_cached(text: str) -> Opaque:
    return await wrapped(text)


def load(home: Path, name: str) -> StoredRun:
    with StoreReader(home) as reader:
        return reader.load_run(name)


def delete(home: Path, *names: str) -> None:
    delete_runs(home, [load(home, name) for name in names])


def stored(home: Path, name: str) -> set[str]:
    return entries_of(home, f"runs/{name}")


@pytest.fixture(autouse=True)
def nothing_computed() -> None:
    COMPUTED.clear()


def test_data_of_a_run_is_in_its_folder_by_default(flyte_home: Path) -> None:
    file = flyte.with_runcontext(name="here").run(make, "x").outputs().o0
    assert Path(file.path).parent.parent == flyte_home / "runs" / "here" / "raw"


def test_data_goes_to_the_raw_data_path_of_the_run(tmp_path: Path) -> None:
    file = flyte.with_runcontext(raw_data_path=tmp_path / "data").run(make, "x").outputs().o0
    assert Path(file.path).parent.parent == tmp_path / "data"


def test_data_goes_to_the_configured_path_unless_the_run_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_LOCAL_RAW_DATA_PATH", str(tmp_path / "configured"))
    assert flyte.run(make, "x").outputs().o0.path.startswith(str(tmp_path / "configured"))
    chosen = flyte.with_runcontext(raw_data_path=str(tmp_path / "chosen")).run(make, "x")
    assert chosen.outputs().o0.path.startswith(str(tmp_path / "chosen"))


def test_data_goes_to_a_bucket_and_comes_back(s3: S3Server) -> None:
    prefix = f"s3://{s3.new_bucket()}/data"
    flyte.init(storage=settings(s3.url))
    file = flyte.with_runcontext(raw_data_path=prefix).run(make, "in a bucket").outputs().o0
    assert file.path.startswith(f"{prefix}/")
    assert flyte.run(read, file).outputs().o0 == "in a bucket"
    assert flyte.with_runcontext(raw_data_path=prefix).run(counted, LARGE).outputs().o0 == LARGE


def test_a_task_in_a_process_of_its_own_reaches_the_same_storage(s3: S3Server) -> None:
    prefix = f"s3://{s3.new_bucket()}/data"
    flyte.init(storage=settings(s3.url))
    file = flyte.with_runcontext(raw_data_path=prefix).run(make_in_process, "from a process").outputs().o0
    assert flyte.run(read, file).outputs().o0 == "from a process"


def test_addresses_are_rewritten_for_the_tasks_of_the_run(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    new.mkdir()
    (new / "f.txt").write_text("moved")
    path = RawDataPath(path=str(tmp_path / "raw"), path_rewrite=PathRewrite(str(old), str(new)))
    run = flyte.with_runcontext(raw_data_path=path).run(read, File.from_existing_remote(f"{old}/f.txt"))
    assert run.outputs().o0 == "moved"


def test_the_rewrite_of_the_environment_counts_where_its_new_place_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.txt").write_text("moved")
    raw = tmp_path / "raw"
    file: File[Any] = File.from_existing_remote(f"{tmp_path}/old/f.txt")
    monkeypatch.setenv("_F_PATH_REWRITE", f"{tmp_path}/old->{tmp_path}/new")
    assert flyte.with_runcontext(raw_data_path=raw).run(read, file).outputs().o0 == "moved"
    monkeypatch.setenv("_F_PATH_REWRITE", f"{tmp_path}/old->{tmp_path}/nowhere")
    with pytest.raises(RuntimeUserError, match="there is nothing there"):
        flyte.with_runcontext(raw_data_path=raw).run(read, file)


def test_storage_that_is_none_is_refused() -> None:
    with pytest.raises(InitializationError, match=r"expected S3\(\.\.\.\)"):
        flyte.init(storage="s3")  # type: ignore[arg-type]


def test_storage_holds_until_the_next_init() -> None:
    flyte.init(storage=Local(flush=False))
    assert given_storage() == Local(flush=False)
    flyte.init()
    assert given_storage() is None


def test_large_literals_go_to_a_raw_data_path_that_was_chosen(tmp_path: Path, flyte_home: Path) -> None:
    raw = tmp_path / "raw"
    run = flyte.with_runcontext(name="large", raw_data_path=raw).run(counted, LARGE)
    assert run.outputs().o0 == LARGE
    # What `words` returned and what `count_words` got is one value: it is there once.
    assert len(list(raw.glob("*/literal.pb"))) == 1
    with StoreReader(flyte_home) as reader:
        actions = list(reader.list_actions(reader.load_run("large")))
    made = next(each for each in actions if each.task_name == "raw.words")
    literal = Outputs.FromString(made.outputs or b"").literals[0].value
    assert literal.offloaded_metadata.size_bytes > LARGE
    assert literal.offloaded_metadata.uri.startswith(str(raw))


def test_a_run_with_offloaded_inputs_reads_them_back(tmp_path: Path) -> None:
    runner = flyte.with_runcontext(raw_data_path=tmp_path / "raw")
    run = runner.run(count_words, ["word"] * LARGE)
    assert run.outputs().o0 == LARGE
    assert flyte.with_runcontext(raw_data_path=tmp_path / "raw").rerun(run.name).outputs().o0 == LARGE


def test_an_offloaded_literal_comes_back_as_it_was(tmp_path: Path) -> None:
    message = Outputs()
    message.literals.add(name="o0").value.scalar.primitive.string_value = "x" * LARGE
    message.literals.add(name="o1").value.scalar.primitive.integer = 1
    small = offload(message, RawDataPath(path=str(tmp_path)))
    assert small.literals[0].value.HasField("offloaded_metadata")
    assert small.literals[1] == message.literals[1]
    assert offload(small, RawDataPath(path=str(tmp_path))) == small
    assert all_loaded(small) == message


@pytest.mark.parametrize(
    ("content", "message"), [(None, "there is nothing there"), (b"\xff", "not what was written"), (b"", "not what")]
)
def test_an_offloaded_literal_that_changed_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    whole = Outputs()
    whole.literals.add(name="o0").value.scalar.primitive.string_value = "x" * LARGE
    literal: Literal = offload(whole, RawDataPath(path=str(tmp_path))).literals[0].value
    path = Path(literal.offloaded_metadata.uri)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TypeTransformerFailedError, match=message):
        loaded(literal)


def test_deleting_a_run_deletes_its_data(flyte_home: Path) -> None:
    flyte.with_runcontext(name="alone").run(make, "x")
    assert len(stored(flyte_home, "alone")) == 1
    delete(flyte_home, "alone")
    assert not (flyte_home / "runs" / "alone").exists()


def test_data_that_a_cached_result_names_stays_and_the_rest_goes(flyte_home: Path) -> None:
    path = Path(flyte.with_runcontext(name="first").run(made_and_cached).outputs().o0)
    assert len(stored(flyte_home, "first")) == 2
    delete(flyte_home, "first")
    assert stored(flyte_home, "first") == {path.parent.name}
    assert path.read_text() == "cached"
    again = flyte.with_runcontext(name="second").run(made_and_cached)
    assert again.outputs().o0 == str(path)
    assert COMPUTED == ["cached"]


def test_data_that_another_run_got_stays_until_that_run_goes_too(flyte_home: Path) -> None:
    file = flyte.with_runcontext(name="giver").run(make, "shared").outputs().o0
    flyte.with_runcontext(name="taker").run(read, file)
    delete(flyte_home, "giver")
    assert Path(file.path).read_text() == "shared"
    delete(flyte_home, "taker")
    assert not (flyte_home / "runs" / "giver").exists()


def test_data_goes_when_giver_and_taker_are_deleted_together(flyte_home: Path) -> None:
    file = flyte.with_runcontext(name="giver").run(make, "shared").outputs().o0
    flyte.with_runcontext(name="taker").run(read, file)
    delete(flyte_home, "giver", "taker")
    assert not Path(file.path).exists()


def test_data_in_a_dataclass_and_in_a_pickle_is_held_too(flyte_home: Path) -> None:
    kept = flyte.with_runcontext(name="pickled").run(wrapped_and_cached, "x").outputs().o0
    assert len(stored(flyte_home, "pickled")) == 2
    delete(flyte_home, "pickled")
    assert Path(kept.file.path).read_text() == "x"


def test_data_of_a_new_run_does_not_go_with_an_old_one_of_its_name(flyte_home: Path) -> None:
    path = Path(flyte.with_runcontext(name="again").run(made_and_cached).outputs().o0)
    delete(flyte_home, "again")
    other = flyte.with_runcontext(name="again").run(make, "new").outputs().o0
    delete(flyte_home)
    assert Path(other.path).read_text() == "new"
    assert path.read_text() == "cached"


def test_nothing_is_deleted_below_a_raw_data_path_that_was_chosen(tmp_path: Path, flyte_home: Path) -> None:
    file = flyte.with_runcontext(name="chosen", raw_data_path=tmp_path / "mine").run(make, "x").outputs().o0
    plan = plan_data(flyte_home, [load(flyte_home, "chosen")])
    assert plan.left_alone == (str(tmp_path / "mine"),)
    delete(flyte_home, "chosen")
    assert Path(file.path).read_text() == "x"


def test_a_plan_says_what_goes_and_what_stays(flyte_home: Path) -> None:
    path = Path(flyte.with_runcontext(name="planned").run(made_and_cached).outputs().o0)
    plan = plan_data(flyte_home, [load(flyte_home, "planned")])
    assert (plan.entries, plan.size_bytes, plan.kept, plan.left_alone) == (1, 4, (str(path.parent),), ())
    assert len(stored(flyte_home, "planned")) == 2


def test_a_recovered_run_holds_the_data_it_took_over(flyte_home: Path) -> None:
    path = Path(flyte.with_runcontext(name="origin").run(make_and_read, "x").outputs().o0)
    flyte.with_runcontext(name="copy").rerun("origin", recover=True)
    delete(flyte_home, "origin")
    assert path.read_text() == "x"
    delete(flyte_home, "copy")
    assert not path.exists()


def test_data_of_a_moved_home_is_found_by_the_rewrite(
    tmp_path: Path, flyte_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = flyte.run(make, "moved").outputs().o0
    moved = tmp_path / "moved"
    (flyte_home / "runs").rename(moved)
    monkeypatch.setenv("_F_PATH_REWRITE", f"{flyte_home}/runs->{moved}")
    assert flyte.run(read, file).outputs().o0 == "moved"


def test_what_a_killed_process_left_half_stored_is_gone_when_its_run_is_resumed(flyte_home: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    raw = flyte_home / "runs" / "half" / "raw"
    (raw / "0" / f".made.txt.{process.pid}.1.tmp").mkdir(parents=True)
    (raw / "0" / "made.txt").write_text("whole")
    (raw / f".x.{process.pid}.2.tmp").write_text("half")
    remove_leftovers(flyte_home, raw.parent, raw.parent, [])
    assert [path.name for path in raw.rglob("*") if path.is_file()] == ["made.txt"]
    assert not list(raw.rglob(".*.tmp"))


def test_a_run_cannot_be_told_to_put_data_nowhere() -> None:
    with pytest.raises(InvalidAddressError, match="'' is not a path"):
        flyte.with_runcontext(raw_data_path="")


def test_data_is_held_whatever_the_home_is_called_when_it_is_deleted(tmp_path: Path, flyte_home: Path) -> None:
    other_name = tmp_path / "link-to-home"
    other_name.symlink_to(flyte_home)
    file = flyte.with_runcontext(name="giver").run(make, "shared").outputs().o0
    flyte.with_runcontext(name="taker").run(read, file)
    assert plan_data(other_name, [load(other_name, "giver")]).entries == 0
    delete(other_name, "giver")
    assert Path(file.path).read_text() == "shared"


def test_data_is_held_after_the_home_has_moved(tmp_path: Path, flyte_home: Path) -> None:
    file = flyte.with_runcontext(name="giver").run(make, "shared").outputs().o0
    flyte.with_runcontext(name="taker").run(read, file)
    close_engine()
    moved = flyte_home.rename(tmp_path / "moved")
    delete(moved, "giver")
    assert (moved / Path(file.path).relative_to(flyte_home)).read_text() == "shared"


def test_a_deletion_that_was_cut_short_goes_on_when_nobody_holds_the_data_any_more(flyte_home: Path) -> None:
    file = flyte.with_runcontext(name="giver").run(make, "shared").outputs().o0
    run = load(flyte_home, "giver")
    begun = flyte_home / "runs" / f".deleted-{run.run_id}" / "raw"
    begun.mkdir(parents=True)
    (begun / "moved").write_text("by the deletion that was cut short")
    delete(flyte_home, "giver")
    assert not Path(file.path).exists()
    assert not (flyte_home / "runs" / "giver").exists()
    assert not begun.exists()
