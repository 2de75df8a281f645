"""Attempts that come to an end that is not theirs, below a control plane."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import flyte
from flyte.errors import BaseRuntimeError
from flyte.models import ActionPhase
from tests.processes import are_gone
from tests.server.marks import begun, wait_until
from tests.server.plane_programs import dies_once, grows, hold, hold_all
from tests.server.planes import Plane


@pytest.mark.parametrize("how", ["killed", "segfault"])
def test_an_attempt_whose_process_dies_is_tried_again(entered: Plane, tmp_path: Path, how: str) -> None:
    run = flyte.run(dies_once, str(tmp_path), how)
    assert run.outputs().o0 == 2
    assert [each.attempt_no for each in begun(tmp_path)] == [1, 2]


def test_an_attempt_that_uses_more_memory_than_its_limit_fails_with_that(entered: Plane, tmp_path: Path) -> None:
    with pytest.raises(BaseRuntimeError, match="memory") as caught:
        flyte.run(grows, str(tmp_path)).outputs()
    assert caught.value.code == "OOMError"
    assert are_gone([each.pid for each in begun(tmp_path)])


def test_a_stopped_process_is_aborted_like_any_other(entered: Plane, tmp_path: Path) -> None:
    run = flyte.run(hold_all, str(tmp_path), 2)
    wait_until(lambda: len(begun(tmp_path)) == 3)
    for each in begun(tmp_path):
        os.kill(each.pid, signal.SIGSTOP)
    run.abort("enough")
    run.wait(quiet=True)
    assert run.phase is ActionPhase.ABORTED
    assert are_gone([each.pid for each in begun(tmp_path)])


def test_attempts_of_a_host_that_is_killed_follow_anew_and_that_is_no_retry(entered: Plane, tmp_path: Path) -> None:
    run = flyte.run(hold, str(tmp_path), "only")
    wait_until(lambda: len(begun(tmp_path)) == 1)
    entered.host().kill()
    wait_until(lambda: len(begun(tmp_path)) == 2)
    (tmp_path / "go").touch()
    # The task has no retries at all.
    assert run.outputs().o0 == 2
    assert are_gone([begun(tmp_path)[0].pid])
