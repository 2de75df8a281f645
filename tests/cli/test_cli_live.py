from __future__ import annotations

import re
import time

import pytest

from flyte._controller.progress import ActionFailure, RunProgress, TaskProgress
from flyte._store.records import CacheStatus
from flyte.cli import _live
from flyte.cli._progress_text import Frame, draw, total_counts, tree
from flyte.models import ActionPhase

FRAME = Frame("e.main", elapsed_s=1.5, width=80, height=24)


def progress_of(**children: tuple[int, dict[ActionPhase, int]]) -> RunProgress:
    progress = RunProgress(run_name="r1", root=TaskProgress("e.main", started=1))
    for name, (started, ended) in children.items():
        node = progress.root.child(f"e.{name}")
        node.started = started
        node.ended.update(ended)
    return progress


def test_each_task_has_its_counts() -> None:
    progress = progress_of(
        load=(1, {ActionPhase.SUCCEEDED: 1}),
        train=(10_000, {ActionPhase.SUCCEEDED: 9000, ActionPhase.TIMED_OUT: 1, ActionPhase.FAILED: 2}),
        stop=(1, {ActionPhase.ABORTED: 1}),
    )
    assert draw(progress, FRAME).plain.splitlines()[1:] == [
        "e.main  ● 1",
        "├─ e.load  ✓ 1",
        "├─ e.train  ✓ 9,000  ● 997  ✗ 3",
        "└─ e.stop  ⊘ 1",
    ]
    assert str(total_counts(progress)) == "9,001 succeeded, 998 running, 3 failed, 1 aborted"


def test_cached_tasks_say_how_many_of_them_hit_and_missed() -> None:
    progress = progress_of(load=(5, {ActionPhase.SUCCEEDED: 3}), train=(1, {}))
    progress.root.child("e.load").cache.update({CacheStatus.HIT: 3, CacheStatus.MISS: 2})
    assert draw(progress, FRAME).plain.splitlines()[2:] == [
        "├─ e.load  ✓ 3  ● 2  cache: 3 hit, 2 missed",
        "└─ e.train  ● 1",
    ]
    assert (total_counts(progress).hits, total_counts(progress).misses) == (3, 2)


def test_the_headline_says_run_task_time_and_actions() -> None:
    assert draw(progress_of(), FRAME).plain.splitlines()[0][2:] == "r1  e.main  1.5 s  1 action"


def test_a_run_that_has_not_begun_shows_no_tasks() -> None:
    assert draw(RunProgress(), FRAME).plain[2:] == "starting  e.main  1.5 s  0 actions"


def test_failures_take_one_line_each_and_the_rest_is_counted() -> None:
    progress = progress_of()
    for number in range(7):
        progress.failed(ActionFailure(f"a{number}", "e.train", "ValueError", f"number\n{number} " + "x" * 100))
    lines = draw(progress, FRAME).plain.splitlines()
    assert lines[2].startswith("✗ e.train (a0) ValueError: number 0 xxx")
    assert lines[-1] == "✗ and 2 more failures"
    assert max(len(line) for line in lines) < FRAME.width


def test_a_frame_is_never_higher_than_the_terminal() -> None:
    progress = progress_of(**{f"t{number}": (1, {}) for number in range(100)})
    for number in range(9):
        progress.failed(ActionFailure(f"a{number}", "e.train", "ValueError", "bad"))
    lines = draw(progress, FRAME).plain.splitlines()
    assert len(lines) < FRAME.height
    assert any(re.fullmatch(r"… and \d+ more tasks", line) for line in lines)


def test_a_run_of_any_depth_can_be_drawn() -> None:
    progress = progress_of()
    node = progress.root
    for _ in range(5000):
        node = node.child("e.deeper")
        node.started = 1
    assert total_counts(progress).total == 5001
    assert sum(1 for _ in tree(progress.root)) == 5001
    assert "… and 4,98" in draw(progress, FRAME).plain


def test_a_line_comes_now_and_then_where_the_output_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_live, "LINE_S", 0.001)
    seen = ""
    with _live.shown(progress_of(train=(2, {ActionPhase.SUCCEEDED: 1})), "e.main", enabled=True):
        deadline = time.monotonic() + 5
        while "succeeded" not in seen and time.monotonic() < deadline:
            seen += capsys.readouterr().err
    assert seen.splitlines()[0] == "Run r1: e.main"
    assert seen.splitlines()[1].startswith("Run r1: 1 succeeded, 2 running after ")
