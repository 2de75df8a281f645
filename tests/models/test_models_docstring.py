"""Descriptions taken from docstrings."""

from __future__ import annotations

import pickle
import sys

import pytest

from flyte.models import Docstring

GOOGLE = """Trains a model.

It stops early.

Args:
    rows: The data.
    lr (float): How fast.
"""

NUMPY = """Trains a model.

It stops early.

Parameters
----------
rows : list
    The data.
lr : float
    How fast.
"""

REST = """Trains a model.

It stops early.

:param rows: The data.
:param lr: How fast.
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST], ids=["google", "numpy", "rest"])
def test_every_style_gives_the_same_descriptions(text: str) -> None:
    docstring = Docstring(text)
    assert docstring.short_description == "Trains a model."
    assert docstring.long_description == "It stops early."
    assert docstring.input_descriptions == {"rows": "The data.", "lr": "How fast."}


def test_named_outputs_are_described() -> None:
    docstring = Docstring("Short.\n\nReturns\n-------\nmodel : Model\n    The best one.\nloss : float\n    Its loss.\n")
    assert docstring.output_descriptions == {"model": "The best one.", "loss": "Its loss."}


def test_text_comes_from_a_callable() -> None:
    def task() -> None:
        """Does it."""

    assert Docstring(callable_=task).short_description == "Does it."
    assert Docstring("Given.", task).short_description == "Given."


def test_no_text_describes_nothing() -> None:
    docstring = Docstring()
    assert (docstring.short_description, docstring.long_description) == (None, None)
    assert (docstring.input_descriptions, docstring.output_descriptions) == ({}, {})


def test_parser_is_not_imported_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docstring_parser", None)
    docstring = Docstring("Short.")
    with pytest.raises(ImportError):
        docstring.short_description  # noqa: B018


def test_docstrings_are_equal_and_picklable_by_their_text() -> None:
    docstring = Docstring(GOOGLE)
    assert docstring.short_description
    assert pickle.loads(pickle.dumps(docstring)) == Docstring(GOOGLE)
    assert {docstring, Docstring(GOOGLE)} == {docstring}
    assert docstring != Docstring("Another.")
