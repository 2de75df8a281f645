"""Names of actions, action ids, groups and call counts."""

from __future__ import annotations

import hashlib
import pickle
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte.models import ActionID, CallCounter, GroupData, generate_random_name, sub_action_name
from flyte.models.naming import base36

VECTORS = [
    ("a0", 1, "th", "ih", None, "85hvno29yql9omdo61m0c0hjo"),
    ("a0", 1, "th", "ih", "g", "bhw5czvh0qso54poeelcp5lat"),
    ("a0", 2, "th", "ih", None, "4tolzw8my9cumir87tzywk0t0"),
    ("a0", 0, "", "", "", "eqia2lwidevsry7ew62vw5s3r"),
    ("a0", 1, "abc", "def", "my group", "8zefyxbl584glxx0z1msq8d47"),
    ("a0", 12, "éè", "ih", "g", "cd0out7xwkk03c3qzjlmr3gqc"),
    ("root", 1, "th", "ih", None, "3f4horrjwj9sihz0v1nb88eau"),
    ("root", 7, "hello.main", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "group one", "82t3msl31gdgrzf39kv5x80py"),
    # From real runs of two releases.
    ("myrun", 0, "e1.top", "3b6D4bcTH8Difr+9LJw0J+s5rRPmawuQqcjYOhdqg34=", None, "1884go6y5g8xm74bj6lcyxmfp"),
    ("myrun", 1, "e1.top", "KEIwDYbtpDdIagAWFbRccD+Dtrek8VoZiFNuVXfwSdo=", None, "7qlmg2qkfb4vckh4o1bg23wah"),
    ("a0", 1, "e1.top", "KEIwDYbtpDdIagAWFbRccD+Dtrek8VoZiFNuVXfwSdo=", None, "6gye2twq4crhds2g5i0y0t6oq"),
]

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.mark.parametrize(("parent", "seq", "task_hash", "input_hash", "group", "name"), VECTORS)
def test_sub_action_names_equal_those_of_other_releases(
    parent: str, seq: int, task_hash: str, input_hash: str, group: str | None, name: str
) -> None:
    assert sub_action_name(parent, seq, task_hash, input_hash, group) == name
    assert ActionID(name=parent).new_sub_action_from(seq, task_hash, input_hash, group).name == name


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_base36_reads_back_as_the_number(number: int) -> None:
    digits = base36(number)
    assert int(digits, 36) == number
    assert digits == "0" or not digits.startswith("0")
    assert digits == digits.lower()


@pytest.mark.parametrize(
    ("number", "digits"),
    [(0, "0"), (35, "z"), (36, "10"), (1295, "zz"), (1296, "100"), (2**128 - 1, "f5lxx1zz5pnorynqglhzmsp33")],
)
def test_base36_at_the_edges(number: int, digits: str) -> None:
    assert base36(number) == digits


@given(st.text(), st.integers(), st.text(), st.text(), st.none() | st.text())
def test_sub_action_name_is_the_md5_of_the_call(
    parent: str, seq: int, task_hash: str, input_hash: str, group: str | None
) -> None:
    identity = "-".join([parent, input_hash, task_hash, str(seq), *([group] if group else [])])
    expected = int.from_bytes(hashlib.md5(identity.encode()).digest(), "big")
    assert int(sub_action_name(parent, seq, task_hash, input_hash, group), 36) == expected


def test_random_names_are_uuids_that_seeding_does_not_repeat() -> None:
    random.seed(0)
    first = generate_random_name()
    random.seed(0)
    assert UUID.fullmatch(first)
    assert generate_random_name() != first


def test_run_name_defaults_to_the_name() -> None:
    assert ActionID(name="r").run_name == "r"
    assert ActionID(name="a0", run_name="").run_name == ""


def test_create_random_names_run_and_root_action_alike() -> None:
    action = ActionID.create_random()
    assert UUID.fullmatch(action.name)
    assert action == ActionID(name=action.name, run_name=action.name)


def test_sub_action_differs_in_name_only() -> None:
    parent = ActionID(name="a0", run_name="r", project="p", domain="d", org="o")
    assert parent.new_sub_action("x") == ActionID(name="x", run_name="r", project="p", domain="d", org="o")
    assert parent.name == "a0"


def test_sub_action_without_a_name_gets_a_random_one() -> None:
    assert UUID.fullmatch(ActionID(name="a0").new_sub_action().name)
    assert ActionID(name="a0").new_sub_action("").name == ""


def test_only_the_parents_name_enters_a_sub_action_name() -> None:
    plain = ActionID(name="a0").new_sub_action_from(1, "t", "i", None)
    full = ActionID(name="a0", run_name="r", project="p", domain="d", org="o").new_sub_action_from(1, "t", "i", None)
    assert plain.name == full.name
    assert (full.run_name, full.project, full.domain, full.org) == ("r", "p", "d", "o")


def test_sub_action_needs_a_group_even_if_none() -> None:
    with pytest.raises(TypeError, match="group"):
        ActionID(name="a0").new_sub_action_from(1, "t", "i")  # type: ignore[call-arg]


def test_action_ids_are_equal_hashable_and_picklable_by_value() -> None:
    action = ActionID(name="a0", run_name="r")
    child = action.new_sub_action("x")
    assert {action, ActionID(name="a0", run_name="r")} == {action}
    assert {child, ActionID(name="x", run_name="r")} == {child}
    assert pickle.loads(pickle.dumps(child)) == child


def test_action_id_shows_the_fields_that_are_set() -> None:
    assert repr(ActionID(name="a0")) == "ActionID('a0', run_name='a0')"
    assert repr(ActionID(name="a0", run_name="r", org="")) == "ActionID('a0', run_name='r', org='')"


def test_unique_id_joins_the_parts() -> None:
    action = ActionID(name="a0", run_name="r", project="p", domain="d", org="o")
    assert action.unique_id_str() == "p-d-r-a0"
    assert action.unique_id_str("s") == "p-d-r-a0-s"
    assert ActionID(name="a").unique_id_str("") == "None-None-a-a-"


def test_group_data() -> None:
    assert repr(GroupData("g")) == "GroupData('g')"
    assert hash(GroupData("g")) == hash(GroupData(name="g"))


def test_call_counter_counts_each_key_from_one() -> None:
    counter = CallCounter()
    assert [counter.next(key) for key in ("x", "y", "x", "x")] == [1, 1, 2, 3]
    assert repr(counter) == "CallCounter({'x': 3, 'y': 1})"
