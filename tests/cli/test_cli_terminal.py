from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

TASKS = """
import asyncio, logging, sys
import flyte
logging.basicConfig()
env = flyte.TaskEnvironment(name="e")

@env.task
async def leaf(n: int) -> int:
    await asyncio.sleep(0.4)
    if n == 2:
        raise ValueError("two is bad")
    print(f"leaf {n} is here")
    return n

@env.task
async def main() -> int:
    sys.stdout.write("\\r10%\\r100%\\n")
    logging.warning("careful")
    found = await asyncio.gather(*(leaf(n) for n in range(3)), return_exceptions=True)
    return len(found)

@env.task
def ask() -> str:
    return input("Name? ").upper()
"""

# The terminal becomes that of the command's session, so that Ctrl-C in it is a signal.
COMMAND = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from flyte.cli import main
main()
"""
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Session:
    """What a terminal got to see, and how the command in it ended."""

    raw: str
    code: int

    @property
    def lines(self) -> list[str]:
        """Everything ever drawn, without the codes."""
        return [line.strip() for line in re.split(r"[\r\n]+", CODES.sub("\n", self.raw))]


@pytest.fixture(autouse=True)
def tasks(project: Path) -> None:
    (project / "tasks.py").write_text(TASKS)


def in_terminal(*arguments: str, answer: tuple[str, str] | None = None, **environment: str) -> Session:
    """Run the command in a terminal of 24 by 80; when the first of `answer` appears, the second is typed."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        start_new_session=True,
    )
    os.close(theirs)
    seen, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            seen += os.read(ours, 65_536).decode(errors="replace")
        except OSError:
            break
        if answer and answer[0] in seen:
            os.write(ours, answer[1].encode())
            answer = None
    os.close(ours)
    return Session(seen, process.wait(timeout=10))


def test_a_run_is_shown_as_a_tree_with_counts_and_failures() -> None:
    session = in_terminal("run", "--local", "--name", "r1", "tasks.py", "main")
    assert session.code == 0
    text = "\n".join(session.lines)
    assert re.search(r"● 3", text), "the leaves were never seen running"
    last = CODES.sub("", session.raw.split("\x1b[2K")[-1])
    assert re.search(r"■ r1  e\.main  \d+ ms  4 actions", last)
    assert "e.main  ✓ 1" in last
    assert "└─ e.leaf  ✓ 2  ✗ 1" in last
    assert "ValueError: two is bad" in last
    assert "✓ Run r1 succeeded" in last
    assert "o0 = 3" in last


def test_what_tasks_print_appears_whole_above_the_tree() -> None:
    session = in_terminal("run", "--local", "tasks.py", "main")
    # Those that run beside one another print their names too.
    lines = [re.sub(r"^\[leaf \w{6}\] ", "", line) for line in session.lines]
    for line in ("leaf 0 is here", "leaf 1 is here", "100%", "WARNING:root:careful"):
        assert lines.count(line) == 1
    assert "10%" not in session.lines


def test_no_progress_shows_the_outcome_only() -> None:
    session = in_terminal("--no-progress", "run", "--local", "tasks.py", "main")
    assert "└─" not in session.raw
    assert "succeeded" in session.raw


@pytest.mark.parametrize("arguments", [["run", "--local", "tasks.py", "main"], ["get", "run"], ["run", "--help"]])
def test_no_color_is_honoured(arguments: list[str]) -> None:
    assert "\x1b[" in in_terminal(*arguments).raw
    styled = re.compile(r"\x1b\[[0-9;]*m")
    assert not styled.findall(in_terminal(*arguments, NO_COLOR="1").raw)


def test_a_question_ends_the_live_view_and_can_be_answered() -> None:
    session = in_terminal("run", "--local", "tasks.py", "ask", answer=("Name? ", "bob\n"))
    assert session.code == 0
    assert "o0 = 'BOB'" in session.raw


def test_ctrl_c_leaves_a_clean_terminal() -> None:
    session = in_terminal("run", "--local", "tasks.py", "ask", answer=("Name? ", "\x03"))
    assert session.code == 130
    assert "aborted after" in session.raw
    assert session.raw.rindex("\x1b[?25h") > session.raw.rindex("\x1b[?25l")
