from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte._bundle import building, packing
from flyte._bundle.building import KeptBundle, build_bundle, keep_bundle
from flyte._bundle.inflating import inflate
from flyte._bundle.packing import Packed, pack, read_whole
from flyte._bundle.plans import BundlePlan, Fingerprint, PlannedFile, fingerprint_of
from flyte._bundle.selection import plan_bundle
from flyte.errors import CodeBundleError, DataNotFoundError
from flyte.storage._settings import use_storage
from tests.bundle.projects import archive_of, built, contents, names, tree, write
from tests.s3 import S3Server
from tests.s3 import settings as s3_settings

part = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda text: text not in (".", "..") and len(text.encode()) < 250
)
# A prefix keeps names from being left out by a rule, or from being both a file and a folder.
relative_path = st.lists(part, min_size=0, max_size=2).flatmap(
    lambda folders: part.map(lambda name: "/".join([*(f"d{each}x" for each in folders), f"f{name}x"]))
)
projects = st.dictionaries(relative_path, st.binary(max_size=300), min_size=1, max_size=8)
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def packed(root: Path) -> tuple[Packed, bytes]:
    output = io.BytesIO()
    return pack(plan_bundle(root, copy_style="all"), output, read_whole), output.getvalue()


@many
@given(files=projects, data=st.data())
def test_the_same_files_give_the_same_bytes_whatever_order_time_owner_and_place(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    versions = set()
    for _ in range(2):
        with TemporaryDirectory() as folder:
            root = Path(folder)
            for relative in data.draw(st.permutations(sorted(files))):
                write(root, {relative: files[relative]})
                moment = data.draw(st.integers(0, 2**32))
                os.utime(root / relative, (moment, moment))
                os.chmod(root / relative, data.draw(st.sampled_from([0o600, 0o644, 0o660, 0o444])))
                if os.geteuid() == 0:
                    os.chown(root / relative, data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9)))
            made, content = packed(root)
            assert made.version == hashlib.md5(content).hexdigest()
            versions.add((made.name, made.version, content))
    assert len(versions) == 1


@many
@given(first=projects, second=projects)
def test_different_files_give_different_versions(first: dict[str, bytes], second: dict[str, bytes]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        write(Path(one), first)
        write(Path(two), second)
        assert (packed(Path(one))[0].version == packed(Path(two))[0].version) == (first == second)


@many
@given(files=projects)
def test_the_name_is_the_md5_of_each_file_and_its_path_without_slashes(files: dict[str, bytes]) -> None:
    expected = hashlib.md5(b"".join(files[name] + name.replace("/", "").encode() for name in sorted(files)))
    with TemporaryDirectory() as folder:
        write(Path(folder), files)
        assert packed(Path(folder))[0].name == f"fast{expected.hexdigest()}.tar.gz"


@many
@given(files=projects)
def test_what_was_packed_comes_out_again(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        write(Path(folder, "in"), files)
        bundle = built(plan_bundle(Path(folder, "in"), copy_style="all"))
        inflate(bundle, Path(folder, "out"))
        assert tree(Path(folder, "out")) == files


def test_a_bundle_has_the_form_of_flyte_2(project: Path) -> None:
    write(project, {"a/x.py": "x", "run.sh": "#!", "empty.py": "", "a/secret.py": ""})
    (project / "run.sh").chmod(0o771)
    (project / "a" / "secret.py").chmod(0o600)
    bundle = built(plan())
    with tarfile.open(archive_of(bundle)) as tar:
        members = tar.getmembers()
    assert [(member.name, oct(member.mode)) for member in members] == [
        ("a/secret.py", "0o644"),
        ("a/x.py", "0o644"),
        ("empty.py", "0o644"),
        ("run.sh", "0o755"),
    ]
    for member in members:
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (347155200, 0, 0, "", "")
        assert (member.type, member.pax_headers) == (tarfile.REGTYPE, {})
    # No time and no name in the header.
    assert archive_of(bundle).read_bytes()[:8] == b"\x1f\x8b\x08\0\0\0\0\0"


def test_a_bundle_says_what_and_where_it_is(project: Path, flyte_home: Path) -> None:
    write(project, {"b.py": "", "mod.py": "x = 1\n"})
    bundle = built(plan())
    archive = archive_of(bundle)
    assert bundle.computed_version == hashlib.md5(archive.read_bytes()).hexdigest()
    assert archive.parent == flyte_home / "bundles" / bundle.computed_version
    assert bundle.files == [f"{project}/b.py", f"{project}/mod.py"]
    assert (bundle.destination, bundle.pkl, bundle.downloaded_path) == (".", None, None)


def test_the_name_is_the_one_that_the_official_release_gives_these_files(project: Path) -> None:
    write(project, {"mod.py": "x=1\n", "pkg/__init__.py": "", "pkg/a.py": "y=2\n", "pkg/sub/ünï.txt": "é\n"})
    (project / "link.py").symlink_to("mod.py")
    assert archive_of(built(plan())).name == "fastd5e6107836bb1770cb53a736fcd2855e.tar.gz"


def test_the_mode_is_of_the_version_though_not_of_the_name(project: Path) -> None:
    write(project, {"run.sh": "#!"})
    first = built(plan())
    (project / "run.sh").chmod(0o755)
    second = built(plan())
    assert archive_of(first).name == archive_of(second).name
    assert first.computed_version != second.computed_version
    assert inflate(first, project.parent / "1").downloaded_path != inflate(second, project.parent / "2").downloaded_path
    modes = [stat.S_IMODE((project.parent / each / "run.sh").stat().st_mode) & 0o111 for each in ("1", "2")]
    assert modes == [0, 0o111]


def test_files_whose_names_run_together_have_bundles_of_their_own(project: Path) -> None:
    write(project, {"one/a/b.py": "", "two/ab.py": ""})
    first = built(plan_bundle(project / "one", copy_style="all"))
    second = built(plan_bundle(project / "two", copy_style="all"))
    assert archive_of(first).name == archive_of(second).name
    assert list(contents(archive_of(first))) == ["a/b.py"]
    assert list(contents(archive_of(second))) == ["ab.py"]


def test_odd_names_and_empty_files_are_packed(project: Path) -> None:
    long = "/".join(["d" * 200] * 3 + ["n" * 250])
    files = {"ünï çödé.py": b"1", "日本/語.txt": b"", "new\nline": b"2", " ": b"", long: b"3", "zero": b""}
    write(project, dict(files))
    with open(os.fsencode(project) + b"/bytes\xff.txt", "wb") as file:
        file.write(b"4")
    bundle = built(plan())
    inflate(bundle, project.parent / "out")
    assert tree(project.parent / "out") == {**files, os.fsdecode(b"bytes\xff.txt"): b"4"}


Reading = Callable[[PlannedFile], tuple[bytes, Fingerprint]]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for bundles from now on."""
    read: list[str] = []

    def reading(planned: PlannedFile) -> tuple[bytes, Fingerprint]:
        read.append(planned.relative)
        return read_whole(planned)

    monkeypatch.setattr(building, "read_whole", reading)
    return read


def settled(make: Callable[[], BundlePlan], within_s: float = 10) -> KeptBundle:
    """The bundle, once nothing about it is so new that its files have to be read again."""
    end = time.monotonic() + within_s
    while (kept := keep_bundle(make())).is_new:
        assert time.monotonic() < end
    return kept


def plan() -> BundlePlan:
    return plan_bundle(copy_style="all")


def test_nothing_is_read_the_second_time(project: Path, reads: list[str]) -> None:
    write(project, {"a.py": "1", "b.py": "2"})
    kept = settled(plan)
    reads.clear()
    again = keep_bundle(plan())
    assert (again.path, again.version, again.is_new, reads) == (kept.path, kept.version, False, [])


def test_a_change_of_the_same_size_and_time_is_noticed(project: Path) -> None:
    write(project, {"a.py": "1"})
    kept = settled(plan)
    before = (project / "a.py").stat()
    write(project, {"a.py": "2"})
    os.utime(project / "a.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert contents(keep_bundle(plan()).path) == {"a.py": b"2"}
    assert keep_bundle(plan()).version != kept.version


def test_a_file_in_the_place_of_another_with_its_size_and_time_is_noticed(project: Path) -> None:
    write(project, {"a.py": "1", "b.py": "2"})
    settled(plan)
    shutil.copystat(project / "a.py", project / "b.py")
    os.replace(project / "b.py", project / "a.py")
    assert contents(keep_bundle(plan()).path) == {"a.py": b"2"}


def test_changes_right_after_packing_are_noticed_every_time(project: Path) -> None:
    for number in range(200):
        write(project, {"a.py": f"{number:03}"})
        assert contents(keep_bundle(plan()).path) == {"a.py": f"{number:03}".encode()}


def test_touched_files_are_read_and_give_the_same_bundle(project: Path, reads: list[str]) -> None:
    write(project, {"a.py": "1"})
    kept = settled(plan)
    reads.clear()
    os.utime(project / "a.py", (1, 1))
    again = keep_bundle(plan())
    assert (again.path, again.is_new, reads) == (kept.path, True, ["a.py"])


@pytest.mark.parametrize("damage", ["delete", "shorten", "note"])
def test_a_kept_bundle_that_is_damaged_is_packed_again(damage: str, project: Path, flyte_home: Path) -> None:
    write(project, {"a.py": "1"})
    kept = settled(plan)
    match damage:
        case "delete":
            kept.path.unlink()
        case "shorten":
            kept.path.write_bytes(kept.path.read_bytes()[:-1])
        case "note":
            for note in (flyte_home / "bundles" / ".known").iterdir():
                note.write_text("{")
    again = keep_bundle(plan())
    assert again.is_new
    assert hashlib.md5(again.path.read_bytes()).hexdigest() == again.version == kept.version


def test_a_root_has_a_note_for_each_choice_of_files(project: Path) -> None:
    write(project, {"a.py": "1", "conf.yaml": "2", ".flyteignore": "conf.yaml"})
    first = settled(plan)
    write(project, {".flyteignore": "a.py"})
    second = settled(plan)
    write(project, {".flyteignore": "conf.yaml"})
    assert first.version != second.version
    assert settled(plan).version == first.version


def test_a_file_that_vanishes_is_an_error_and_leaves_nothing(project: Path, flyte_home: Path) -> None:
    write(project, {"a.py": "1", "b.py": "2"})
    made = plan()
    (project / "b.py").unlink()
    with pytest.raises(CodeBundleError, match=rf"{project}/b\.py vanished while it was bundled: run again"):
        keep_bundle(made)
    assert not list(flyte_home.rglob("*"))


def test_a_file_that_changes_once_while_it_is_read_is_read_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, {"a.py": "old"})
    changes = iter(["newer"])
    monkeypatch.setattr(packing, "_read", changing(project / "a.py", changes))
    assert contents(keep_bundle(plan()).path) == {"a.py": b"newer"}


def test_a_file_that_never_stops_changing_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, {"a.py": "old"})
    endless = (f"{number:03}" for number in range(1000))
    monkeypatch.setattr(packing, "_read", changing(project / "a.py", endless))
    with pytest.raises(CodeBundleError, match=r"a\.py changes while it is bundled \(below the root\): wait for"):
        keep_bundle(plan())


def changing(path: Path, changes: Iterator[str]) -> Callable[[str], Any]:
    """Reads as `_read` does; meanwhile somebody writes the next change into the file."""
    read = packing._read

    def reading(name: str) -> Any:
        before, content, after = read(name)
        if (change := next(changes, None)) is not None:
            path.write_text(change)
            after = fingerprint_of(path.stat())
        return before, content, after

    return reading


def test_a_pipe_in_the_place_of_a_file_does_not_block(project: Path) -> None:
    write(project, {"a.py": "1"})
    made = plan()
    (project / "a.py").unlink()
    os.mkfifo(project / "a.py")
    with pytest.raises(CodeBundleError, match="it is no regular file any more"):
        keep_bundle(made)


def test_a_bundle_goes_to_an_address_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flyte.storage import _transfer

    write(project, {"a.py": "1"})
    stored: list[str | None] = []
    store = _transfer.store

    def storing(from_path: str, to_path: str | None = None, **more: Any) -> Any:
        stored.append(to_path)
        return store(from_path, to_path, **more)

    monkeypatch.setattr(_transfer, "store", storing)
    target = project.parent / "uploads"
    bundles = [build_bundle(plan(), to=str(target)) for _ in range(2)]
    assert bundles[0] == bundles[1]
    assert bundles[0] is not None
    assert stored == [bundles[0].tgz]
    assert archive_of(bundles[0]).is_relative_to(target / bundles[0].computed_version)
    archive_of(bundles[0]).write_bytes(b"cut")
    build_bundle(plan(), to=str(target))
    assert contents(archive_of(bundles[0])) == {"a.py": b"1"}


def test_a_bundle_goes_through_an_object_store(project: Path) -> None:
    write(project, {"a.py": "1", "pkg/b.py": "2"})
    bundle = build_bundle(plan(), to="memory://code/here")
    assert bundle is not None
    assert bundle.tgz is not None
    assert bundle.tgz.startswith(f"memory://code/here/{bundle.computed_version}/fast")
    inflated = inflate(bundle, project.parent / "out")
    assert inflated.downloaded_path == project.parent / "out"
    assert tree(project.parent / "out") == {"a.py": b"1", "pkg/b.py": b"2"}


def test_a_bundle_goes_through_s3(project: Path, s3: S3Server) -> None:
    use_storage(s3_settings(s3.url))
    write(project, {"a.py": "1", "pkg/b.py": "2"})
    bucket = s3.new_bucket()
    bundle = build_bundle(plan(), to=f"s3://{bucket}/code")
    assert bundle is not None
    assert build_bundle(plan(), to=f"s3://{bucket}/code") == bundle
    [stored] = s3.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert bundle.tgz == f"s3://{bucket}/{stored['Key']}"
    inflate(bundle, project.parent / "out")
    assert tree(project.parent / "out") == {"a.py": b"1", "pkg/b.py": b"2"}
    s3.client.delete_object(Bucket=bucket, Key=stored["Key"])
    with pytest.raises(DataNotFoundError, match=bundle.tgz):
        inflate(bundle, project.parent / "other")
    assert not (project.parent / "other").exists()


def test_processes_that_pack_at_once_agree(project: Path) -> None:
    write(project, {f"pkg/m{number}.py": f"x = {number}" * 50 for number in range(100)})
    program = (
        "from flyte._bundle.selection import plan_bundle; from flyte._bundle.building import build_bundle\n"
        "import json; bundle = build_bundle(plan_bundle(copy_style='all')); print(json.dumps(bundle.tgz))"
    )
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    archives = {json.loads(process.communicate(timeout=60)[0]) for process in running}
    assert len(archives) == 1
    assert len(contents(Path(archives.pop()))) == 100


def test_a_full_disk_leaves_no_half_bundle(project: Path, flyte_home: Path) -> None:
    write(project, {"a.py": "1"})
    program = (
        "from flyte._bundle.selection import plan_bundle; from flyte._bundle.building import build_bundle\n"
        "build_bundle(plan_bundle(copy_style='all'))"
    )
    environment = os.environ | {"FLYTE_FAULT_POINT": "file.before_write:raise-enospc"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "No space left on device" in done.stderr
    assert not [path for path in flyte_home.rglob("*") if path.is_file()]
    assert names(plan()) == ["a.py"]
    assert contents(keep_bundle(plan()).path) == {"a.py": b"1"}
