"""Links that carry their own permission."""

from __future__ import annotations

import hmac
import stat
import time
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte._server.signing import KEY_FILE, LinkRefusedError, LinkSigner

SOON = int(time.time()) + 3600


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> LinkSigner:
    return LinkSigner(tmp_path_factory.mktemp("signing"))


def test_a_link_gives_back_its_limits_also_to_the_next_server(flyte_home: Path) -> None:
    link = LinkSigner(flyte_home).sign("PUT", "/upload/a b/ü", SOON, {"max": "7"})
    query = urlsplit(link).query
    assert LinkSigner(flyte_home).check("PUT", "/upload/a b/ü", query) == {"max": "7"}
    assert stat.S_IMODE((flyte_home / KEY_FILE).stat().st_mode) == 0o600
    assert [each.name for each in flyte_home.iterdir()] == [KEY_FILE]


def test_a_link_to_fetch_is_good_for_asking_about_it(signer: LinkSigner) -> None:
    query = urlsplit(signer.sign("GET", "/download/x", SOON)).query
    assert signer.check("HEAD", "/download/x", query) == {}


def test_a_link_is_good_for_one_method_one_path_and_what_it_says(signer: LinkSigner) -> None:
    query = urlsplit(signer.sign("PUT", "/upload/x", SOON, {"max": "7"})).query
    for method, path, changed in (
        ("GET", "/upload/x", query),
        ("PUT", "/upload/y", query),
        ("PUT", "/upload/x/", query),
        ("PUT", "/upload/x", query.replace("max=7", "max=8")),
        ("PUT", "/upload/x", query.replace(str(SOON), str(SOON + 1))),
        ("PUT", "/upload/x", query + "&max=9"),
        ("PUT", "/upload/x", query + "&exact=1"),
        ("PUT", "/upload/x", query[:-1]),
        ("PUT", "/upload/x", ""),
        ("PUT", "/upload/x", "signature=&expires=1"),
    ):
        with pytest.raises(LinkRefusedError, match="signature"):
            signer.check(method, path, changed)


def test_a_key_that_was_cut_short_signs_nothing(flyte_home: Path) -> None:
    path, expires = "/upload/x", int(time.time()) + 60
    LinkSigner(flyte_home)
    (flyte_home / KEY_FILE).write_bytes(b"")
    by_anybody = hmac.new(b"", f"PUT\n{path}\nexpires={expires}".encode(), sha256).hexdigest()
    signer = LinkSigner(flyte_home)
    with pytest.raises(LinkRefusedError, match="signature"):
        signer.check("PUT", path, f"expires={expires}&signature={by_anybody}")
    assert len((flyte_home / KEY_FILE).read_bytes()) == 32


def test_a_link_ends(signer: LinkSigner) -> None:
    query = urlsplit(signer.sign("PUT", "/upload/x", int(time.time()))).query
    with pytest.raises(LinkRefusedError, match="expired"):
        signer.check("PUT", "/upload/x", query)


def test_the_link_of_another_home_is_none(signer: LinkSigner, tmp_path: Path) -> None:
    query = urlsplit(LinkSigner(tmp_path).sign("GET", "/download/x", SOON)).query
    with pytest.raises(LinkRefusedError):
        signer.check("GET", "/download/x", query)


@given(query=st.text(max_size=200))
def test_no_garbage_is_a_link(signer: LinkSigner, query: str) -> None:
    with pytest.raises(LinkRefusedError):
        signer.check("PUT", "/upload/x", query)
