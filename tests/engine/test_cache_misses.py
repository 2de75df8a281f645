from __future__ import annotations

import pytest

from flyte._engine.cache_misses import Asked, Difference, difference, nearest

CALL = Asked("v2", "i", {"x": "1", "y": "2"})


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (Asked("v2", "i", {"x": "1", "y": "2"}), Difference(False, False, ())),
        (Asked("v1", "i", {"y": "2", "x": "1"}), Difference(True, False, ())),
        (Asked("v2", "j", {"x": "1", "y": "3"}), Difference(False, True, ("y",))),
        (Asked("v2", "i", {"z": "1", "y": "2"}), Difference(False, False, ("x", "z"))),
    ],
)
def test_a_difference_names_each_part_that_differs(kept: Asked, expected: Difference) -> None:
    assert difference(CALL, kept) == expected


def test_nothing_is_nearest_where_nothing_is_kept() -> None:
    assert nearest(CALL, []) is None


def test_equal_inputs_of_another_version_are_nearer_than_other_inputs_of_the_same() -> None:
    found = nearest(CALL, [Asked("v2", "i", {"x": "1", "y": "9"}), Asked("v1", "i", {"x": "1", "y": "2"})])
    assert found == (1, Difference(True, False, ()))


def test_fewer_differing_inputs_are_nearer_and_of_equals_the_first() -> None:
    kept = [Asked("v2", "i", {"x": "8", "y": "9"}), Asked("v2", "i", {"x": "1", "y": "9"})]
    assert nearest(CALL, [*kept, kept[1]]) == (1, Difference(False, False, ("y",)))
