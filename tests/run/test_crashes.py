"""Real processes, killed at every fault point or left without space, and what is true when their run is resumed."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

import flyte
from flyte import _faults
from flyte._faults import POINTS, SERVER_POINTS, Fault
from flyte._store.reader import StoreReader
from flyte.errors import RunNotFoundError, RuntimeUserError, StoreError
from flyte.models import ActionPhase

PROGRAM = Path(__file__).with_name("crashing.py")
ONCE = {"run.created", "run.claimed", "run.done", "run.recorded"}
LIVES = [
    # The second life is killed where the first was, where it comes by there again.
    *([f"{point}:1", f"{point}:1"] for point in POINTS if point != "run.claimed"),
    *([f"{point}:3"] for point in POINTS if point not in ONCE),
    ["action.recorded:4", "run.claimed", "run.claimed"],
    # Who resumes cleans up after all who came before, not only after the last one.
    ["file.written:1", "run.claimed"],
]


@dataclass
class Victim:
    """The program and its home, through as many lives as it takes."""

    home: Path
    effects: Path
    life_no: int = 0

    def live(self, fault: str = "") -> subprocess.CompletedProcess[str]:
        self.life_no += 1
        variables = {"EFFECTS": str(self.effects), "LIFE": str(self.life_no), "FLYTE_FAULT_POINT": fault}
        return subprocess.run(
            [sys.executable, str(PROGRAM)], env=os.environ | variables, capture_output=True, text=True, timeout=60
        )

    def recorded(self) -> set[str]:
        """The names of the actions with a recorded success."""
        return {name for name, _, phase in self.actions() if phase is ActionPhase.SUCCEEDED}

    def actions(self) -> set[tuple[str, str, ActionPhase]]:
        """Name, parent and phase of every action; each name stands once and below an action that is there."""
        with StoreReader(self.home) as reader:
            try:
                actions = reader.list_actions(reader.load_run("r"))
            except RunNotFoundError:
                return set()
        names = [action.name for action in actions]
        assert len(names) == len(set(names))
        assert {action.parent_name for action in actions} <= {None, *names}
        assert [action.name for action in actions if action.parent_name is None] == ["a0"]
        return {(action.name, str(action.parent_name), action.phase) for action in actions}

    def lives_of_effects(self) -> dict[str, list[int]]:
        """The lives in which the body of each action ran, by action."""
        lives: dict[str, list[int]] = {}
        for line in self.effects.read_text().splitlines():
            life_no, name = line.split()
            lives.setdefault(name, []).append(int(life_no))
        return lives

    def check_files(self) -> None:
        """The database is sound, and the run has the payload files that its records point to, whole, and no others."""
        connection = sqlite3.connect(self.home / "store.db")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        columns = connection.execute("SELECT inputs_file FROM action UNION SELECT outputs_file FROM action").fetchall()
        connection.close()
        # Not the data of its tasks: what a killed one left there is hidden, and goes with the run.
        files = (
            path
            for path in (self.home / "runs").rglob("*")
            if path.suffix in (".pb", ".tmp") and path.relative_to(self.home).parts[2] != "raw"
        )
        assert {str(path.relative_to(self.home)) for path in files} == {path for (path,) in columns if path}


@pytest.fixture
def victim(flyte_home: Path, tmp_path: Path) -> Victim:
    return Victim(flyte_home, tmp_path / "effects")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str, ActionPhase]]:
    """The actions of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    victim = Victim(folder / "home", folder / "effects")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("FLYTE_HOME", str(victim.home))
        assert victim.live().stdout == "succeeded\n"
    assert set(map(len, victim.lives_of_effects().values())) == {1}
    return victim.actions()


@pytest.mark.parametrize("faults", LIVES, ids=lambda faults: ",".join(faults))
def test_a_run_killed_anywhere_ends_as_if_nothing_had_happened(
    faults: list[str], victim: Victim, undisturbed: set[tuple[str, str, ActionPhase]]
) -> None:
    recorded_before: list[set[str]] = [set()]
    for life_no, fault in enumerate(faults, 1):
        killed = victim.live(fault)
        assert killed.returncode in ((-9,) if life_no == 1 else (-9, 0)), killed.stderr
        assert recorded_before[-1] <= victim.recorded()
        recorded_before.append(victim.recorded())
    last = victim.live()
    assert (last.stdout, last.stderr) == ("succeeded\n", "")
    assert victim.actions() == undisturbed
    for name, lives in victim.lives_of_effects().items():
        assert set(Counter(lives).values()) == {1}, f"{name} ran twice in one life"
        for life_no in lives:
            assert name not in recorded_before[life_no - 1], f"{name} had succeeded and ran again"
    victim.check_files()


def test_every_point_is_in_one_place_of_the_code() -> None:
    package = Path(flyte.__file__).parent
    reached = [name for path in package.rglob("*.py") for name in re.findall(r'reach\("([^"]+)"\)', path.read_text())]
    assert sorted(reached) == sorted(POINTS | SERVER_POINTS)


@pytest.mark.parametrize("text", ["nowhere", "run.done:x", "run.done:1:2", "run.done:1:raise-what", ":1"])
def test_a_fault_that_could_not_happen_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected <point>.*action\.recorded"):
        Fault(text)


FULL_DISK = [
    *(f"writer.before_begin:{n}:raise-enospc" for n in (1, 2, 5)),
    *(f"writer.before_commit:{n}:raise-enospc" for n in (1, 2, 5)),
    *(f"file.before_write:{n}:raise-enospc" for n in (1, 2)),
]


@pytest.mark.parametrize("fault", FULL_DISK)
def test_on_a_full_disk_a_run_fails_with_advice_and_goes_on_once_there_is_space(
    fault: str, victim: Victim, undisturbed: set[tuple[str, str, ActionPhase]]
) -> None:
    full = victim.live(fault)
    assert full.returncode == 1
    assert re.search(r"StoreError: .*disk is full: free some space", full.stderr)
    if fault.startswith("file"):
        # The database had space: what could not be kept has failed, and is not shown as running for good.
        assert {phase.is_terminal for _, _, phase in victim.actions()} == {True}
    recorded = victim.recorded()
    last = victim.live()
    assert (last.stdout, last.stderr) == ("succeeded\n", "")
    assert victim.actions() == undisturbed
    assert not [name for name, lives in victim.lives_of_effects().items() if 2 in lives and name in recorded]
    victim.check_files()


SMALL_DISK = """
mount -t tmpfs -o size=400k tmpfs "$FLYTE_HOME"
LIFE=1 "$1" "$2"; echo "first $?"
mount -o remount,size=64m "$FLYTE_HOME"
LIFE=2 "$1" "$2"; echo "second $?"
cp -r "$FLYTE_HOME" "$3"
"""


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0,
    reason="needs a mount namespace",
)
def test_a_disk_that_is_really_full_loses_nothing(victim: Victim, tmp_path: Path) -> None:
    command = ["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", sys.executable, str(PROGRAM), str(tmp_path / "copy")]
    variables = {"EFFECTS": str(victim.effects)}
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60)
    assert done.stdout == "first 1\nsucceeded\nsecond 0\n", done.stderr
    assert "disk is full: free some space" in done.stderr
    victim.home = tmp_path / "copy"
    victim.check_files()


env = flyte.TaskEnvironment(name="crashes")


@env.task
async def leaf(x: int) -> int:
    return x


@env.task
async def parent(x: int) -> int:
    return await leaf(x)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The disk of this process is full from the second transaction of the writer on."""
    with monkeypatch.context() as context:
        context.setattr(_faults, "_fault", Fault("writer.before_commit:2:raise-enospc"))
        yield context


def test_a_run_whose_end_could_not_be_recorded_is_resumed_by_the_process_that_lives_on(
    full_disk: pytest.MonkeyPatch, flyte_home: Path
) -> None:
    with pytest.raises(StoreError, match="disk is full"):
        flyte.with_runcontext(name="r").run(parent, 3)
    with pytest.raises(StoreError, match="disk is full"):
        flyte.resume("r")
    full_disk.undo()
    assert flyte.resume("r").outputs().o0 == 3


def test_an_outcome_that_was_not_recorded_is_not_taken_for_one_by_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    @env.task
    async def counted(x: int) -> int:
        calls.append(x)
        return x

    @env.task(retries=flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(0))))
    async def tries_twice(x: int) -> int:
        if flyte.ctx().attempt_number == 0:
            monkeypatch.setattr(_faults, "_fault", Fault("writer.before_commit:1:raise-enospc"))
        else:
            monkeypatch.setattr(_faults, "_fault", None)
        return await counted(x)

    run = flyte.with_runcontext(name="r").run(tries_twice, 3)
    assert calls == [3, 3]
    assert {(action.phase, action.attempt_no) for action in run.details().actions} == {(ActionPhase.SUCCEEDED, 2)}


def test_running_out_of_memory_in_a_task_is_a_failure_like_any_other() -> None:
    @env.task(retries=flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(0))))
    async def greedy() -> int:
        return len(bytearray(1 << 62)) if flyte.ctx().attempt_number == 0 else 1

    @env.task
    def hopeless() -> int:
        return len(bytearray(1 << 62))

    assert flyte.run(greedy).outputs().o0 == 1
    with pytest.raises(RuntimeUserError) as caught:
        flyte.run(hopeless)
    assert caught.value.code == "MemoryError"
