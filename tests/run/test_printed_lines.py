from __future__ import annotations

import io

from flyte._controller.printed_lines import LINE_LIMIT_CHARACTERS, OpenLine

PREFIX = "[t a0] "


def open_line() -> OpenLine:
    return OpenLine(io.StringIO())


def test_one_alone_is_shown_character_by_character_and_kept_line_by_line() -> None:
    line = open_line()
    assert line.add("a", "") == ([], "a")
    assert line.add("b\nc", "") == (["ab"], "b\nc")
    assert line.end(PREFIX) == (["c"], "")


def test_beside_others_only_whole_lines_are_shown_each_with_the_prefix() -> None:
    line = open_line()
    assert line.add("a", PREFIX) == ([], "")
    assert line.add("b\nc\nd", PREFIX) == (["ab", "c"], f"{PREFIX}ab\n{PREFIX}c\n")
    assert line.end(PREFIX) == (["d"], f"{PREFIX}d\n")


def test_a_line_begun_alone_goes_on_where_the_terminal_left_it() -> None:
    line = open_line()
    line.add("be", "")
    assert line.add("gun\nnext\n", PREFIX) == (["begun", "next"], f"gun\n{PREFIX}next\n")


def test_a_line_that_another_one_cut_goes_on_with_its_prefix() -> None:
    line = open_line()
    line.add("be", "")
    line.is_cut = True
    assert line.add("gun\n", PREFIX) == (["begun"], f"{PREFIX}gun\n")


def test_a_flush_shows_what_waits_but_not_every_state_of_a_progress_bar() -> None:
    prompt, bar = open_line(), open_line()
    prompt.add("(Pdb) ", PREFIX)
    assert prompt.flush(PREFIX) == f"{PREFIX}(Pdb) "
    assert prompt.flush(PREFIX) == ""
    bar.add("\r 10%", PREFIX)
    assert bar.flush(PREFIX) == ""
    assert bar.add("\r100%\n", PREFIX) == (["100%"], f"{PREFIX}100%\n")


def test_an_endless_line_is_kept_in_pieces() -> None:
    line = open_line()
    pieces = [piece for _ in range(3) for piece in line.add("x" * LINE_LIMIT_CHARACTERS, "")[0]]
    assert [len(piece) for piece in pieces] == [LINE_LIMIT_CHARACTERS] * 2
