from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flyte._bundle import fetching, unpacking
from flyte._bundle.fetching import save_code
from flyte._bundle.inflating import LOCK, MARKER, download_code_bundle, inflate
from flyte._bundle.selection import plan_bundle
from flyte._bundle.unpacking import unpack
from flyte.errors import CodeBundleError, DataNotFoundError
from flyte.models import CodeBundle
from tests.bundle.projects import archive, archive_of, built, bundle_of, member, tree, write

FILES = {"main.py": "x = 1\n", "pkg/__init__.py": "", "pkg/a.py": "y = 2\n", "empty": ""}
CODE = {name: content.encode() for name, content in FILES.items()}


@pytest.fixture
def bundle(project: Path) -> CodeBundle:
    write(project, FILES)
    return built(plan_bundle(copy_style="all"))


def test_the_code_is_in_the_folder_and_the_bundle_says_so(bundle: CodeBundle, tmp_path: Path) -> None:
    inflated = inflate(bundle, tmp_path / "deep" / "out")
    assert inflated == bundle.with_downloaded_path(tmp_path / "deep" / "out")
    assert tree(tmp_path / "deep" / "out") == CODE
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir() if path.name not in CODE) == [
        MARKER,
        LOCK,
        "pkg",
    ]


def test_the_second_time_nothing_is_read(bundle: CodeBundle, tmp_path: Path) -> None:
    inflate(bundle, tmp_path / "out")
    archive_of(bundle).unlink()
    inode = (tmp_path / "out" / "main.py").stat().st_ino
    assert inflate(bundle, tmp_path / "out").downloaded_path == tmp_path / "out"
    assert (tmp_path / "out" / "main.py").stat().st_ino == inode


@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_code_that_is_not_whole_any_more_is_unpacked_again(damage: str, bundle: CodeBundle, tmp_path: Path) -> None:
    inflate(bundle, tmp_path / "out")
    (tmp_path / "out" / "written by a task.txt").write_text("mine")
    file = tmp_path / "out" / "pkg" / "a.py"
    file.unlink() if damage == "gone" else file.write_text("")
    inflate(bundle, tmp_path / "out")
    assert tree(tmp_path / "out") == {**CODE, "written by a task.txt": b"mine"}


def test_a_folder_that_is_there_and_empty_is_filled_even_as_working_folder(
    bundle: CodeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert inflate(bundle, ".").downloaded_path == tmp_path / "work"
    assert Path("pkg/a.py").read_text() == FILES["pkg/a.py"]


def test_what_is_in_the_folder_already_stays(bundle: CodeBundle, tmp_path: Path) -> None:
    write(tmp_path, {"out/inputs.pb": "mine"})
    inflate(bundle, tmp_path / "out")
    assert tree(tmp_path / "out") == {**CODE, "inputs.pb": b"mine"}


@pytest.mark.parametrize("name", ["main.py", "pkg/mine.py"])
def test_code_never_takes_the_place_of_something_else(name: str, bundle: CodeBundle, tmp_path: Path) -> None:
    write(tmp_path, {f"out/{name}": "mine"})
    top = name.partition("/")[0]
    with pytest.raises(CodeBundleError, match=f"out/{top} is there already, and of no bundle: .* a folder of its own"):
        inflate(bundle, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [top]
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_a_folder_of_another_bundle_is_left_as_it_is(bundle: CodeBundle, project: Path, tmp_path: Path) -> None:
    inflate(bundle, tmp_path / "out")
    write(project, {"more.py": ""})
    other = built(plan_bundle(copy_style="all"))
    with pytest.raises(
        CodeBundleError, match=f"holds code bundle {bundle.computed_version}, and {other.computed_version}"
    ):
        inflate(other, tmp_path / "out")
    assert tree(tmp_path / "out") == CODE


@pytest.mark.parametrize("names", [None, ["../keep"], [".."], [""]])
def test_a_damaged_note_is_an_error_that_names_it(names: list[str] | None, bundle: CodeBundle, tmp_path: Path) -> None:
    inflate(bundle, tmp_path / "out")
    note = json.loads((tmp_path / "out" / MARKER).read_text()) | {"is_done": False, "names": names}
    (tmp_path / "out" / MARKER).write_text(json.dumps(note))
    with pytest.raises(CodeBundleError, match=rf"{MARKER} is damaged: delete the folder {tmp_path}/out"):
        inflate(bundle, tmp_path / "out")


def test_a_destination_that_cannot_be_written_is_an_error_that_names_it(bundle: CodeBundle, tmp_path: Path) -> None:
    write(tmp_path, {"file": ""})
    with pytest.raises(CodeBundleError, match=rf"cannot be unpacked into {tmp_path}/file/out: Not a directory"):
        inflate(bundle, tmp_path / "file" / "out")


def test_an_archive_that_is_not_there_is_an_error_of_storage(tmp_path: Path) -> None:
    gone = CodeBundle(computed_version="0" * 32, tgz=str(tmp_path / "gone.tar.gz"))
    with pytest.raises(DataNotFoundError, match=r"gone\.tar\.gz"):
        inflate(gone, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pickled_bundle_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(CodeBundleError, match=r"is a pickled task at s3://b/x\.pkl\.gz, not an archive: load_pickled"):
        inflate(CodeBundle(computed_version="v", pkl="s3://b/x.pkl.gz"), tmp_path / "out")


async def test_download_goes_to_the_destination_of_the_bundle(
    bundle: CodeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    downloaded = await download_code_bundle(bundle)
    assert downloaded.downloaded_path == tmp_path / "work"
    assert tree(tmp_path / "work") == CODE


async def test_download_of_a_pickled_bundle_is_the_file(tmp_path: Path) -> None:
    data = gzip.compress(pickle.dumps(1))
    (tmp_path / "x.pkl.gz").write_bytes(data)
    version = hashlib.md5(data).hexdigest()
    made = CodeBundle(computed_version=version, pkl=str(tmp_path / "x.pkl.gz"), destination=str(tmp_path / "out"))
    assert (await download_code_bundle(made)).downloaded_path == tmp_path / "out" / "x.pkl.gz"
    assert (tmp_path / "out" / "x.pkl.gz").read_bytes() == data


def refusal_of(made: CodeBundle, out: Path, **options: bool) -> str:
    """The message, once it is sure that nothing is left."""
    with pytest.raises(CodeBundleError) as caught:
        inflate(made, out, **options)
    assert not out.exists()
    assert str(made.tgz) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 5, 17, 18, 60, -9, -1])
def test_a_truncated_archive_is_refused(kept: int, bundle: CodeBundle, tmp_path: Path) -> None:
    data = archive_of(bundle).read_bytes()
    archive_of(bundle).write_bytes(data[:kept])
    assert "It was truncated or changed since: delete it, and bundle the code again." in refusal_of(
        bundle, tmp_path / "out"
    )
    # The same, where nothing is known of the archive but what it says itself.
    archive_of(bundle).rename(tmp_path / "x.tar.gz")
    unknown = CodeBundle(computed_version="mine", tgz=str(tmp_path / "x.tar.gz"))
    assert "is damaged" in refusal_of(unknown, tmp_path / "out", is_version_digest=False)


def test_an_altered_archive_is_refused_though_it_is_an_archive(bundle: CodeBundle, tmp_path: Path) -> None:
    archive_of(bundle).write_bytes(archive(member("main.py", b"evil")))
    assert f"and '{bundle.computed_version}' is its version" in refusal_of(bundle, tmp_path / "out")
    chosen = CodeBundle(computed_version="v1", tgz=bundle.tgz)
    name = f"fast{hashlib.md5(b'evilmain.py').hexdigest()}.tar.gz"
    assert f"its content has the name {name}" in refusal_of(chosen, tmp_path / "out", is_version_digest=False)


def test_a_flipped_byte_is_refused(bundle: CodeBundle, tmp_path: Path) -> None:
    data = bytearray(archive_of(bundle).read_bytes())
    data[len(data) // 2] ^= 1
    archive_of(bundle).write_bytes(data)
    refusal_of(bundle, tmp_path / "out")
    archive_of(bundle).rename(tmp_path / "x.tar.gz")
    unknown = CodeBundle(computed_version="mine", tgz=str(tmp_path / "x.tar.gz"))
    refusal_of(unknown, tmp_path / "out", is_version_digest=False)


def test_a_wrong_digest_is_refused(bundle: CodeBundle, tmp_path: Path) -> None:
    assert "its MD5 is" in refusal_of(CodeBundle(computed_version="0" * 32, tgz=bundle.tgz), tmp_path / "out")


def test_a_version_that_somebody_chose_is_held_against_the_name(bundle: CodeBundle, tmp_path: Path) -> None:
    chosen = CodeBundle(computed_version="v1", tgz=bundle.tgz)
    inflate(chosen, tmp_path / "out", is_version_digest=False)
    assert tree(tmp_path / "out") == CODE
    # The same version may be chosen again for other code.
    other = bundle_of(archive(member("other.py")), tmp_path / "archives")
    with pytest.raises(CodeBundleError, match="holds code bundle v1 of .*, and v1 of .* is due"):
        inflate(CodeBundle(computed_version="v1", tgz=other.tgz), tmp_path / "out", is_version_digest=False)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("../evil.py")], "would lie outside the folder"),
        ([member("pkg/../../evil.py")], "would lie outside the folder"),
        ([member("pkg/../main.py")], "would lie outside the folder"),
        ([member("/etc/evil")], "would lie outside the folder"),
        ([member("//etc/evil")], "would lie outside the folder"),
        ([member("up", kind=tarfile.SYMTYPE, link="..")], "a link out of the folder, to '..'"),
        ([member("etc", kind=tarfile.SYMTYPE, link="/etc")], "a link out of the folder, to '/etc'"),
        ([member("a/up", kind=tarfile.SYMTYPE, link="../../x")], "a link out of the folder"),
        ([member("a/up", kind=tarfile.SYMTYPE, link="b/../../..")], "a link out of the folder"),
        ([member("a", kind=tarfile.SYMTYPE, link="b"), member("a/evil.py")], "lies behind a link"),
        ([member("a", kind=tarfile.SYMTYPE, link="."), member("a/b/evil.py")], "lies behind a link"),
        ([member("a", kind=tarfile.SYMTYPE, link="b"), member("a", kind=tarfile.DIRTYPE)], "comes twice"),
        ([member("a", kind=tarfile.SYMTYPE, link="b"), member("a")], "comes twice"),
        ([member("a", kind=tarfile.DIRTYPE), member("a", kind=tarfile.SYMTYPE, link="b")], "comes twice"),
        ([member("d/x"), member("d", kind=tarfile.SYMTYPE, link="e")], "comes twice"),
        ([member("a"), member("./a")], "comes twice"),
        ([member("a"), member("a/b")], "lies in a file"),
        ([member("hard", kind=tarfile.LNKTYPE, link="/etc/passwd")], "would lie outside the folder"),
        ([member("hard", kind=tarfile.LNKTYPE, link="../x")], "would lie outside the folder"),
        ([member("hard", kind=tarfile.LNKTYPE, link="other")], "which is no file of the archive"),
        (
            [member("s", kind=tarfile.SYMTYPE, link="t"), member("h", kind=tarfile.LNKTYPE, link="s")],
            "which is no file of the archive",
        ),
        ([member("pipe", kind=tarfile.FIFOTYPE)], "is a device or a pipe"),
        ([member("disk", kind=tarfile.BLKTYPE)], "is a device or a pipe"),
        ([member("zero", kind=tarfile.CHRTYPE)], "is a device or a pipe"),
        ([member(MARKER, b"{}")], f"holds {MARKER}, a name that unpacking needs"),
        ([member(f"{LOCK}/x")], f"holds {LOCK}, a name that unpacking needs"),
    ],
)
def test_a_malicious_archive_is_refused_and_leaves_nothing(
    members: list[tuple[tarfile.TarInfo, bytes]], why: str, tmp_path: Path
) -> None:
    made = bundle_of(archive(member("good.py", b"x"), *members), tmp_path / "archives")
    assert why in refusal_of(made, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives"]


def test_links_that_stay_are_unpacked(tmp_path: Path) -> None:
    made = bundle_of(
        archive(
            member("./pkg/", kind=tarfile.DIRTYPE),
            member("./pkg/a.py", b"code"),
            member("pkg/alias.py", kind=tarfile.SYMTYPE, link="a.py"),
            member("deep/up.py", kind=tarfile.SYMTYPE, link="../pkg/a.py"),
            member("hard.py", kind=tarfile.LNKTYPE, link="pkg/a.py"),
        ),
        tmp_path / "archives",
    )
    inflate(made, tmp_path / "out")
    assert set(tree(tmp_path / "out").values()) == {b"code"}
    assert sorted(tree(tmp_path / "out")) == ["deep/up.py", "hard.py", "pkg/a.py", "pkg/alias.py"]


def test_a_file_with_holes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"sparse/x": ""})
    os.truncate(tmp_path / "sparse" / "x", 1 << 40)
    subprocess.run(["tar", "-C", tmp_path / "sparse", "-Sczf", tmp_path / "x.tar.gz", "x"], check=True)
    made = bundle_of((tmp_path / "x.tar.gz").read_bytes(), tmp_path / "archives")
    assert "is a file with holes" in refusal_of(made, tmp_path / "out")


def test_what_unpacks_to_more_than_allowed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_UNPACKED_MIB", "2")
    made = bundle_of(archive(*(member(f"{number}", os.urandom(1 << 20)) for number in range(3))), tmp_path / "archives")
    assert "holds more than 2.0 MiB. Set FLYTE_BUNDLE_MAX_UNPACKED_MIB" in refusal_of(made, tmp_path / "out")


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    raw = io.BytesIO()
    with gzip.open(raw, "wb", compresslevel=1) as file, tarfile.open(fileobj=file, mode="w|") as tar:
        for number in range(300):
            info, _ = member(f"{number}")
            info.size = 1 << 20
            tar.addfile(info, io.BytesIO(bytes(1 << 20)))
    made = bundle_of(raw.getvalue(), tmp_path / "archives")
    assert "over 100 times as large" in refusal_of(made, tmp_path / "out")


def test_a_header_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_BUNDLE_MAX_UNPACKED_MIB", "4")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info, _ = member("x")
        info.pax_headers = {"comment": "x" * (8 << 20)}
        tar.addfile(info)
    made = bundle_of(gzip.compress(raw.getvalue()), tmp_path / "archives")
    assert "holds more than 4.0 MiB" in refusal_of(made, tmp_path / "out")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 10)
    made = bundle_of(archive(*(member(f"d/{number}") for number in range(11))), tmp_path / "archives")
    assert "has more than 10 members" in refusal_of(made, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"no archive", gzip.compress(b"no tar"), gzip.compress(b"x" * 1024)])
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    assert "is damaged" in refusal_of(bundle_of(data, tmp_path / "archives"), tmp_path / "out")


def test_rights_that_nobody_should_give_are_not_unpacked(tmp_path: Path) -> None:
    info, content = member("run.sh", b"#!")
    info.mode = 0o6777
    inflate(bundle_of(archive((info, content)), tmp_path / "archives"), tmp_path / "out")
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o7022 == 0


INFLATING = """
import json, sys
from flyte._bundle import fetching, inflating
from flyte.models import CodeBundle

unpack = fetching.unpack
counted = []
fetching.unpack = lambda *arguments: counted.append(1) or unpack(*arguments)
bundle = inflating.inflate(CodeBundle(computed_version=sys.argv[1], tgz=sys.argv[2]), sys.argv[3])
content = (bundle.downloaded_path / "pkg/m199.py").read_text()
print(json.dumps([len(counted), content]))
"""


def started(made: CodeBundle, out: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", INFLATING, made.computed_version, str(made.tgz), str(out)],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_many_processes_at_once_unpack_once(project: Path, tmp_path: Path) -> None:
    write(project, {f"pkg/m{number}.py": f"x = {number}\n" * 20 for number in range(200)})
    made = built(plan_bundle(copy_style="all"))
    running = [started(made, tmp_path / "out") for _ in range(8)]
    results = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert sum(unpacked for unpacked, _ in results) == 1
    assert {content for _, content in results} == {"x = 199\n" * 20}
    assert not list((tmp_path / "out").glob(".flyte-bundle-tmp*"))


def test_many_threads_at_once_unpack_once(bundle: CodeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = []

    def counting(*arguments: Any) -> Any:
        unpacked.append(1)
        return unpack(*arguments)

    monkeypatch.setattr(fetching, "unpack", counting)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: inflate(bundle, tmp_path / "out"), range(16)))
    assert {result.downloaded_path for result in results} == {tmp_path / "out"}
    assert len(unpacked) == 1


def test_many_processes_at_once_that_all_fail_leave_nothing(project: Path, tmp_path: Path) -> None:
    write(project, {"a.py": ""})
    made = built(plan_bundle(copy_style="all"))
    archive_of(made).write_bytes(b"cut")
    running = [started(made, tmp_path / "out") for _ in range(4)]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert all("It was truncated or changed since" in error for error in errors)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("point", ["file.before_write", "file.written:1", "file.renamed:1", "file.written:2"])
def test_a_process_killed_while_it_unpacks_is_made_good_by_the_next(point: str, project: Path, tmp_path: Path) -> None:
    write(project, {f"pkg/m{number}.py": f"x = {number}\n" for number in range(200)})
    write(project, {"top.py": ""})
    made = built(plan_bundle(copy_style="all"))
    killed = started(made, tmp_path / "out", FLYTE_FAULT_POINT=point)
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    inflate(made, tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 201
    assert not list((tmp_path / "out").glob(".flyte-bundle-tmp*"))


def test_a_full_disk_while_unpacking_leaves_nothing(bundle: CodeBundle, tmp_path: Path) -> None:
    failed = started(bundle, tmp_path / "out", FLYTE_FAULT_POINT="file.written:2:raise-enospc")
    assert "cannot be unpacked into" in failed.communicate(timeout=60)[1]
    assert not (tmp_path / "out").exists()


def test_unpacking_without_the_filter_of_tarfile_says_which_python_has_it(
    bundle: CodeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(CodeBundleError, match=r"use 3\.11\.4 or a later one"):
        inflate(bundle, tmp_path / "out")


def test_code_for_people_is_saved_without_notes(bundle: CodeBundle, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert save_code(bundle, tmp_path / "out") == tmp_path / "out"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["empty", "main.py", "pkg"]
    assert tree(tmp_path / "out") == CODE
    with pytest.raises(CodeBundleError, match="out is not empty: give one that is"):
        save_code(bundle, tmp_path / "out")


def test_code_is_saved_packed_as_it_is(bundle: CodeBundle, tmp_path: Path) -> None:
    saved = save_code(bundle, tmp_path / "out", is_unpacked=False)
    assert saved == tmp_path / "out" / archive_of(bundle).name
    assert saved.read_bytes() == archive_of(bundle).read_bytes()


def test_damaged_code_is_not_saved(bundle: CodeBundle, tmp_path: Path) -> None:
    archive_of(bundle).write_bytes(b"cut")
    for is_unpacked in (True, False):
        with pytest.raises(CodeBundleError, match="is not what was packed"):
            save_code(bundle, tmp_path / "out", is_unpacked=is_unpacked)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.is_relative_to(tmp_path / "out")]
