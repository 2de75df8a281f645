"""Values in reports: text from data is never markup, and libraries draw their own."""

from __future__ import annotations

import html
import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest

from flyte.report import Markup, Tab, Timeline, abbreviate, current_report, duration_ms, to_html
from flyte.report import _timeline as timeline_module

INJECTIONS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</iframe>", "&lt;b&gt;", "'\"<"]


class Unprintable:
    """A value whose `str` fails."""

    def __str__(self) -> str:
        raise OSError("gone")


class OnPurpose:
    """A value that says it is HTML, as template engines have it."""

    def __html__(self) -> str:
        return "<b>meant</b>"


@pytest.mark.parametrize("text", INJECTIONS)
def test_values_are_text(text: str) -> None:
    for shown in (abbreviate(text), abbreviate(text, limit=2), to_html(text), to_html([text])):
        assert not re.search(r"<(?!/?(details|summary|pre)\b)", shown)
        assert "onerror=alert(1)>" not in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(5, "5"), (None, "None"), ("", ""), ({"a": "<b>"}, "{&#x27;a&#x27;: &#x27;&lt;b&gt;&#x27;}"), ("é🙂", "é🙂")],
)
def test_short_value_is_its_escaped_text(value: object, shown: str) -> None:
    assert abbreviate(value) == shown


def test_value_at_the_limit_is_not_folded_and_one_above_is() -> None:
    assert abbreviate("x" * 300) == "x" * 300
    folded = abbreviate("x" * 301)
    assert f"<summary>{'x' * 300}… (+1)</summary>" in folded
    assert f"<pre>{'x' * 301}</pre>" in folded


def test_folded_value_is_cut_where_it_would_flood_the_page() -> None:
    folded = abbreviate("x" * 1_000_000)
    assert len(folded) < 21_000
    assert "… 980000 more characters" in folded


def test_larger_limit_is_not_cut() -> None:
    assert "more characters" not in abbreviate("x" * 30_001, limit=30_000).replace("… 1 more characters", "")
    assert abbreviate("x" * 30_000, limit=30_000) == "x" * 30_000


def test_negative_limit_is_refused_with_its_value() -> None:
    with pytest.raises(ValueError, match="limit is -1"):
        abbreviate("x", limit=-1)


def test_value_that_cannot_be_printed_says_so() -> None:
    assert html.unescape(abbreviate(Unprintable())) == "<Unprintable, whose str() raised OSError>"
    assert "Unprintable" in to_html(Unprintable())


def test_markup_joined_with_text_is_text_again() -> None:
    assert isinstance(abbreviate("x"), Markup)
    assert not isinstance(abbreviate("x") + "<b>", Markup)


@pytest.fixture
def tab(monkeypatch: pytest.MonkeyPatch) -> Tab:
    """The tab that a timeline writes to."""
    shown = Tab("t")
    monkeypatch.setattr(timeline_module, "get_tab", {"main": shown}.__getitem__)
    return shown


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("place", ["icon", "label", "meta", "detail", "error"])
def test_every_place_of_a_row_shows_text_as_text(tab: Tab, place: str, text: str) -> None:
    Timeline().row(**{place: text})
    assert html.escape(text) in tab.get_html()
    assert text not in tab.get_html()


def test_markup_in_a_row_is_markup(tab: Tab) -> None:
    Timeline().row(label=OnPurpose(), detail=abbreviate("<" * 301))
    assert "<b>meant</b>" in tab.get_html()
    assert f"<summary>{'&lt;' * 300}… (+1)</summary>" in tab.get_html()


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("bad <x>"), "⚠ ValueError: bad &lt;x&gt;"),
        (ValueError(), "⚠ ValueError<"),
        ("late", "⚠ late"),
        (0, "⚠ 0"),
    ],
)
def test_error_of_a_row_is_shown_with_its_class(tab: Tab, error: object, shown: str) -> None:
    Timeline().row(label="fetch", error=error)
    assert shown in tab.get_html()


def test_row_without_an_error_shows_none(tab: Tab) -> None:
    Timeline().row(label="fetch", meta="3 ms")
    assert "⚠" not in tab.get_html()
    assert "3 ms" in tab.get_html()


def test_heading_is_text(tab: Tab) -> None:
    Timeline().heading("<h> 5")
    assert tab.get_html() == "<h3>&lt;h&gt; 5</h3>"


def test_timeline_outside_a_task_is_silent() -> None:
    Timeline("steps").row(label="x")
    assert not current_report().has_content()


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:01.5Z", "1500 ms"),
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00", "0 ms"),
        ("2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00.012Z", "12 ms"),
        ("2024-01-01T00:00:01Z", "2024-01-01T00:00:00Z", "-1000 ms"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00.0006Z", "1 ms"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:01", ""),
        ("yesterday", "2024-01-01T00:00:01", ""),
        (None, None, ""),
        (1, 2, ""),
    ],
)
def test_duration_is_in_milliseconds_and_empty_without_two_times(start: Any, end: Any, shown: str) -> None:
    assert duration_ms(start, end) == shown


class InNotebook:
    """A value that a notebook shows as HTML."""

    def _repr_html_(self) -> str:
        return "<table></table>"


class NotInThisNotebook:
    """A value that a notebook could show, and now does not."""

    def _repr_html_(self) -> None:
        return None

    def __str__(self) -> str:
        return "plain"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (OnPurpose(), "<b>meant</b>"),
        (abbreviate("<"), "&lt;"),
        (InNotebook(), "<table></table>"),
        (NotInThisNotebook(), "<pre>plain</pre>"),
        (InNotebook, f"<pre>{html.escape(str(InNotebook))}</pre>"),
        ("a\n<b>", "<pre>a\n&lt;b&gt;</pre>"),
    ],
)
def test_value_is_drawn_by_what_it_has(value: object, shown: str) -> None:
    drawn = to_html(value)
    assert drawn == shown
    assert isinstance(drawn, Markup)


def test_scikit_learn_estimator_is_drawn_as_in_a_notebook() -> None:
    svm = pytest.importorskip("sklearn.svm")
    assert "sk-estimator" in to_html(svm.SVC())


def test_data_frame_is_a_table_with_escaped_cells() -> None:
    pandas = pytest.importorskip("pandas")
    drawn = to_html(pandas.DataFrame({"name": ["<script>"], "score": [0.5]}))
    assert "<table" in drawn
    assert "&lt;script&gt;" in drawn
    assert "<script>" not in drawn


def test_matplotlib_figure_is_an_image_as_wide_as_the_figure() -> None:
    figures = pytest.importorskip("matplotlib.figure")
    figure = figures.Figure(figsize=(4, 3))
    figure.add_subplot().plot([1, 2, 3])
    match = re.fullmatch(r'<img alt="" width="(\d+)" src="data:image/png;base64,([^"]+)">', to_html(figure))
    assert match is not None
    assert b64decode(match[2]).startswith(b"\x89PNG")
    assert 300 < int(match[1]) < 400


def test_plotly_figure_brings_its_scripts_and_loads_none() -> None:
    plotly = pytest.importorskip("plotly.graph_objects")
    drawn = to_html(plotly.Figure(plotly.Scatter(y=[1, 2])))
    assert len(drawn) > 1_000_000
    assert not re.search(r"<script[^>]+src=", drawn)
