from __future__ import annotations

import io
import logging
import os
import sys

import pytest

from flyte.cli._streams import Lines, LineStream, WatchedInput, in_place_of


def test_lines_of_two_streams_keep_their_order() -> None:
    lines = Lines()
    first, second = LineStream(io.StringIO(), lines), LineStream(io.StringIO(), lines)
    print("one", file=first)
    print("two", file=second)
    print("three", file=first)
    assert lines.take() == ["one", "two", "three"]
    assert lines.take() == []


def test_a_line_is_handed_over_when_it_ends() -> None:
    lines = Lines()
    stream = LineStream(io.StringIO(), lines)
    stream.write("half ")
    stream.flush()
    assert lines.take() == []
    stream.write("a line\nrest")
    assert lines.take() == ["half a line"]
    stream.finish_line()
    assert lines.take() == ["rest"]


def test_of_a_line_drawn_over_the_last_state_counts() -> None:
    lines = Lines()
    stream = LineStream(io.StringIO(), lines)
    stream.write("\r 1%\r 50%\r100%\nnext\r\n")
    assert lines.take() == ["100%", "next"]


def test_a_released_stream_writes_to_the_real_one() -> None:
    lines, real = Lines(), io.StringIO()
    stream = LineStream(real, lines)
    lines.release()
    print("direct", file=stream)
    assert (real.getvalue(), lines.take()) == ("direct\n", [])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_writes_to_the_real_stream() -> None:
    readable, writable = os.pipe()
    with os.fdopen(writable, "w") as real:
        stream = LineStream(real, Lines())
        child = os.fork()
        if child == 0:
            print("from the child", file=stream, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    with os.fdopen(readable) as pipe:
        assert pipe.read() == "from the child\n"


def test_log_handlers_of_the_real_stream_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    real, lines = io.StringIO(), Lines()
    handler = logging.StreamHandler(real)
    monkeypatch.setattr(sys, "stderr", real)
    monkeypatch.setattr(logging.getLogger("cli-test"), "handlers", [handler])
    with in_place_of({"stderr": LineStream(real, lines)}):
        logging.getLogger("cli-test").warning("logged")
    logging.getLogger("cli-test").warning("later")
    assert lines.take() == ["logged"]
    assert real.getvalue() == "later\n"


def test_a_stream_that_a_task_replaced_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    own = io.StringIO()
    with in_place_of({"stdout": LineStream(sys.stdout, Lines())}):
        sys.stdout = own
    assert sys.stdout is own


def test_reading_is_announced_before_it_happens() -> None:
    calls: list[str] = []
    watched = WatchedInput(io.StringIO("one\ntwo\n"), lambda: calls.append("used"))
    assert calls == []
    assert watched.readline() == "one\n"
    assert calls
    assert list(watched) == ["two\n"]
