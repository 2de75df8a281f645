"""Files that clients fetch by a link."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flyte._server.refusals import InvalidRequestError, UnknownError
from tests.server.app.conftest import Serve

PAGE = b"<h1>report</h1>" * 100


@pytest.fixture
def report(flyte_home: Path) -> Path:
    """A report of a run."""
    path = flyte_home / "runs" / "r1" / "a0" / "1" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_bytes(PAGE)
    return path


async def test_a_file_of_a_run_is_fetched_by_its_link(serve: Serve, report: Path) -> None:
    server = await serve(requires_token=True)
    link, expires_at_s = server.downloads.link(str(report))
    answer = await server.http.get(link)
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer.headers["content-type"].startswith("text/html")
    assert 800 < expires_at_s - time.time() <= 900
    head = await server.http.head(link)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(PAGE)), b"")


async def test_the_page_of_a_task_cannot_act_in_the_name_of_the_server(serve: Serve, report: Path) -> None:
    server = await serve()
    answer = await server.http.get(server.downloads.link(str(report))[0])
    # A sandboxed page has the origin `null`, which is refused everywhere.
    assert answer.headers["content-security-policy"] == "sandbox allow-scripts"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_part_of_a_file_is_fetched_by_its_range(serve: Serve, report: Path) -> None:
    server = await serve()
    link = server.downloads.link(str(report))[0]
    part = await server.http.get(link, headers={"range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, PAGE[4:10])
    assert part.headers["content-range"] == f"bytes 4-9/{len(PAGE)}"
    beyond = await server.http.get(link, headers={"range": "bytes=99999-"})
    assert beyond.status_code == 416
    garbled = await server.http.get(link, headers={"range": "bytes=x-y"})
    assert garbled.status_code == 400


async def test_there_is_no_link_to_what_is_not_data_of_the_home(serve: Serve, report: Path, tmp_path: Path) -> None:
    server = await serve()
    server.tokens.create("ada")
    outside = tmp_path / "outside.html"
    outside.write_bytes(PAGE)
    way_out = report.with_name("way_out.html")
    way_out.symlink_to(outside)
    to_key = report.with_name("key.html")
    to_key.symlink_to(server.home / "link.key")
    for address in (
        str(outside),
        str(way_out),
        str(to_key),
        str(server.home / "tokens.json"),
        str(server.home / "link.key"),
        str(server.home / "runs"),
        f"{report.parent}/../../../../link.key",
        str(report.with_name("nothing.html")),
        "s3://bucket/report.html",
        "/etc/passwd",
        "",
    ):
        with pytest.raises(UnknownError):
            server.downloads.link(address)
    with pytest.raises(InvalidRequestError):
        server.downloads.link(str(report), 1 << 40)


async def test_a_link_is_checked_again_when_it_is_used(serve: Serve, report: Path, tmp_path: Path) -> None:
    server = await serve()
    link = server.downloads.link(str(report))[0]
    sign = server.signer.sign
    soon, place = int(time.time()) + 60, "/download/runs/r1/a0/1/report.html"
    refused = {
        link.partition("?")[0]: 403,
        link[:-1] + ("0" if link[-1] != "0" else "1"): 403,
        sign("GET", place, int(time.time()) - 1): 403,
        sign("PUT", place, soon): 403,
        sign("GET", "/download/link.key", soon): 403,
        sign("GET", "/download/runs/nothing", soon): 404,
    }
    for each, status in refused.items():
        assert (await server.http.get(each)).status_code == status, each
    outside = tmp_path / "outside.html"
    outside.write_bytes(b"secret")
    report.unlink()
    assert (await server.http.get(link)).status_code == 404
    report.symlink_to(outside)
    assert (await server.http.get(link)).status_code == 403
    text = (await server.http.get("/metrics")).text
    assert 'flyte_transfers_total{kind="download",status="403"} 6.0' in text
