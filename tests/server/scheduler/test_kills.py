"""A server that is killed between a commit and the answer, around each kind of request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flyte._store.reader import StoreReader
from flyte.models import ActionPhase
from tests.server.scheduler.killed import ACKNOWLEDGED, requests
from tests.server.scheduler.scripted import Plane, outputs_of, plane

ROOT = Path(__file__).parents[3]

PHASES = {
    "has succeeded": {ActionPhase.SUCCEEDED},
    "is answered": {ActionPhase.SUCCEEDED},
    "is aborted": {ActionPhase.ABORTED},
    "is made": set(ActionPhase),
    "is called": set(ActionPhase),
    "is asked": set(ActionPhase),
}

FINAL = {
    "a0": ActionPhase.SUCCEEDED,
    "c1": ActionPhase.SUCCEEDED,
    "c2": ActionPhase.SUCCEEDED,
    "c3": ActionPhase.ABORTED,
    "ask": ActionPhase.SUCCEEDED,
}


async def test_what_was_acknowledged_is_there_whichever_commit_a_server_is_killed_after(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.server.scheduler.killed", str(tmp_path)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    homes = sorted(tmp_path.iterdir(), key=lambda home: int(home.name))
    # At least one for each request and each end.
    assert len(homes) > 12
    for home in homes:
        said = (home / ACKNOWLEDGED).read_text().splitlines()
        for each in said:
            assert phase_of(home, each.split()[0]) in PHASES[each.partition(" ")[2]], (home.name, each)
        async with plane(home) as p:
            await requests(p, lambda _: None)
            check(p, said)


def phase_of(home: Path, name: str) -> ActionPhase:
    """Of a run or an action, as the store has it."""
    with StoreReader(home) as reader:
        if name in ("r", "other"):
            return reader.load_run(name).phase
        return reader.load_action(reader.load_run("r"), name).phase


def check(p: Plane, said: list[str]) -> None:
    """All has ended as if nothing had happened, nothing is recorded twice, and nobody has a seat."""
    run, actions = p.stored()
    assert (run.phase, {name: action.phase for name, action in actions.items()}) == (ActionPhase.SUCCEEDED, FINAL)
    assert actions["ask"].outputs == outputs_of(7)
    assert p.stored("other")[0].phase is ActionPhase.ABORTED
    with StoreReader(p.home) as reader:
        for action in actions.values():
            numbers = [each.attempt_no for each in reader.list_attempts(action)]
            assert numbers == list(range(1, action.attempt_no + 1))
    if "c1 has succeeded" in said:
        assert "c1" not in {each.name for each in p.executor.attempts}
    assert (p.scheduler.open_runs, p.scheduler.running_attempts) == (0, 0)
    assert p.scheduler._open_actions == 0
