"""The page of a report: stands alone, and keeps its structure whatever the tabs hold."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from flyte.report import Report, Tab
from flyte.report._files import write_report
from flyte.storage._backend import backend_of

HOSTILE = [
    "</script>",
    "</iframe></div></main></body></html>",
    "<div><table><tr><td>never closed",
    "<!-- never closed",
    "<script>alert(1)",
    '" onload="alert(1)',
    "' &quot; &amp; &lt; &#34;",
    "$NAV_HTML ${BODY_HTML} $TITLE $$",
    "<template><title><textarea><noscript><plaintext>",
    "日本語 🙂 \u202eright to left\u202c \x00",
    "",
]


@dataclass
class ReadPage:
    """What a page has outside its frames, and the frames: sandbox and document by tab."""

    title: str = ""
    tabs: list[str] = field(default_factory=list)
    sandboxes: dict[str, list[str]] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    scripts: int = 0
    unclosed: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Takes a page apart, and insists that each element is closed by its own end tag."""

    def __init__(self) -> None:
        super().__init__()
        self.page = ReadPage()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        page, given = self.page, {name: value or "" for name, value in attrs}
        page.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag == "iframe":
            page.sandboxes[given["title"]] = given["sandbox"].split()
            page.documents[given["title"]] = given["srcdoc"]
        if tag == "li":
            page.tabs.append("")
        page.scripts += tag == "script"
        if tag != "meta":
            page.unclosed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.page.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.page.unclosed[-1:] == ["title"]:
            self.page.title += data
        if self.page.unclosed[-1:] == ["li"]:
            self.page.tabs[-1] += data


def read_page(text: str) -> ReadPage:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.page.unclosed == []
    return reader.page


def report_with(**tabs: str) -> Report:
    report = Report("a0")
    for name, html in tabs.items():
        report.get_tab(name).log(html)
    return report


def test_page_names_the_action_and_its_tabs() -> None:
    page = read_page(report_with(main="<p>one</p>", second="<p>two</p>").get_final_report())
    assert page.title.startswith("a0 ")
    assert page.tabs == ["main", "second"]
    assert page.documents["main"].endswith("<p>one</p>")
    assert page.documents["second"].endswith("<p>two</p>")


@pytest.mark.parametrize("html", HOSTILE)
def test_a_tab_holds_exactly_what_was_logged_and_the_next_one_is_whole(html: str) -> None:
    page = read_page(report_with(first=html, second="<p>intact</p>").get_final_report())
    head = page.documents["second"].removesuffix("<p>intact</p>")
    assert page.documents == {"first": head + html, "second": head + "<p>intact</p>"}
    assert page.scripts == 1


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_names_of_actions_and_tabs_are_text(name: str) -> None:
    report = Report(name)
    report.get_tab(name).log("<p>x</p>")
    page = read_page(report.get_final_report())
    # A name is shown as it is, save that HTML has no NUL.
    assert page.tabs == [name]
    assert page.title.startswith(name)
    assert page.scripts == 1


def test_page_loads_nothing_and_its_frames_have_no_origin() -> None:
    page = read_page(report_with(main="<p>x</p>").get_final_report())
    assert page.addresses == []
    assert "allow-scripts" in page.sandboxes["main"]
    assert "allow-same-origin" not in page.sandboxes["main"]


def test_main_tab_is_left_out_while_it_is_empty() -> None:
    report = report_with(other="<p>x</p>")
    assert read_page(report.get_final_report()).tabs == ["other"]
    report.get_tab("main").log("<p>now</p>")
    assert read_page(report.get_final_report()).tabs == ["main", "other"]


def test_empty_report_is_a_page_without_tabs() -> None:
    report = Report("a0")
    assert not report.has_content()
    assert read_page(report.get_final_report()).tabs == []


def test_has_content_is_about_what_tabs_show() -> None:
    report = report_with(other="")
    assert not report.has_content()
    report.get_tab("other").replace("x")
    assert report.has_content()


def test_tab_pieces_stand_one_below_the_other_until_replaced() -> None:
    tab = Tab("t")
    tab.log("a")
    tab.log("b")
    assert tab.get_html() == "a\nb"
    tab.replace("c")
    assert tab.get_html() == "c"


def test_unknown_tab_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'a0' has no tab 'loss'; it has 'main', 'other'"):
        report_with(other="x").get_tab("loss", create_if_missing=False)


@pytest.mark.parametrize("change", [Tab.log, Tab.replace])
def test_what_is_not_text_is_refused_with_the_way_to_show_it(change: Any) -> None:
    with pytest.raises(TypeError, match="got a list.*to_html"):
        change(Tab("t"), [1])


def test_template_of_ones_own_is_filled_and_keeps_its_dollars(tmp_path: Path) -> None:
    template = tmp_path / "own.html"
    template.write_text("<ul>$NAV_HTML</ul>${BODY_HTML}<script>`${x}` + $('#a')</script>", "utf-8")
    report = Report("a0", template_path=template)
    report.get_tab("one & two").log("<p>x</p>")
    page = report.get_final_report()
    assert page.startswith('<ul><li onclick="handleLinkClick(this)">one &amp; two</li></ul><div><iframe ')
    assert page.endswith("</iframe></div><script>`${x}` + $('#a')</script>")


def test_template_without_a_place_for_the_tabs_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "own.html"
    template.write_text("<ul>$NAV_HTML</ul>", "utf-8")
    with pytest.raises(ValueError, match=r"own.html has no \$BODY_HTML"):
        Report("a0", template_path=template).get_final_report()


def test_page_is_shown_in_a_notebook_inside_a_frame() -> None:
    page = report_with(main='<p class="x">&amp;</p>').get_final_report()
    shown = read_page(cast("Any", page)._repr_html_())
    assert shown.documents["report"] == page


def test_reports_are_compared_by_content_and_can_be_copied_and_pickled() -> None:
    report = report_with(main="x")
    for twin in (copy.deepcopy(report), pickle.loads(pickle.dumps(report))):
        assert twin == report
        twin.get_tab("main").log("y")
        assert twin.get_final_report() != report.get_final_report()
        assert twin != report


def test_saved_page_is_utf8_whatever_the_text(tmp_path: Path) -> None:
    report = report_with(main="名前 \udcff")
    report.save(tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text("utf-8") == report.get_final_report().replace(
        "\udcff", "&#56575;"
    )


def test_five_megabytes_of_markup_are_held_whole_and_grow_little(tmp_path: Path) -> None:
    html = '<td class="n">1</td>' * 262_144
    report = report_with(main=html, second="<p>intact</p>")
    report.save(tmp_path / "page.html")
    page = read_page((tmp_path / "page.html").read_text("utf-8"))
    assert page.documents["main"].endswith(html)
    assert page.documents["second"].endswith("<p>intact</p>")
    assert (tmp_path / "page.html").stat().st_size < 1.6 * len(html)


def test_report_without_content_writes_no_page(tmp_path: Path) -> None:
    assert write_report(Report("a0"), tmp_path / "a0") is None
    assert not (tmp_path / "a0").exists()


def test_report_with_content_is_written_below_the_output_path(tmp_path: Path) -> None:
    path = write_report(report_with(main="<p>x</p>"), f"file://{tmp_path}/a0")
    assert path == str(tmp_path / "a0" / "report.html")
    assert read_page(Path(path).read_text("utf-8")).tabs == ["main"]


def test_emptied_report_replaces_the_page_that_was_written_before(tmp_path: Path) -> None:
    report = report_with(main="<p>x</p>")
    write_report(report, tmp_path)
    report.get_tab("main").replace("")
    path = write_report(report, tmp_path)
    assert path is not None
    assert read_page(Path(path).read_text("utf-8")).tabs == []


def test_report_goes_to_remote_storage_and_replaces_what_was_there() -> None:
    folder = f"memory://reports/{uuid4().hex}"
    assert write_report(Report("a0"), folder) is None
    report = report_with(main="<p>x</p>")
    for text, tabs in (("<p>y</p>", ["main"]), ("", [])):
        report.get_tab("main").replace(text)
        address = write_report(report, folder)
        assert address == f"{folder}/report.html"
        assert read_page(backend_of(address).read(address).decode()).tabs == tabs
