"""Files that clients send."""

from __future__ import annotations

import asyncio
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte._server.refusals import InvalidRequestError
from flyte._server.uploads import UploadRequest
from tests.server.app.conftest import Serve, Served

DATA = b"print('hello')\n" * 1000


def wanted(**options: object) -> UploadRequest:
    """A request with a project and a domain."""
    return UploadRequest(**{"project": "p", "domain": "development", "filename": "code.tgz", **options})  # type: ignore[arg-type]


def files_of(home: Path) -> list[str]:
    """All files below the folder of uploads, also temporary ones."""
    return sorted(str(each.relative_to(home / "uploads")) for each in (home / "uploads").rglob("*") if each.is_file())


async def test_what_is_put_to_a_link_is_at_its_place(serve: Serve) -> None:
    server = await serve()
    upload = server.uploads.link(wanted(content_md5=md5(DATA).digest(), content_length=len(DATA)))
    headers = {"content-md5": b64encode(md5(DATA).digest()).decode()}
    answer = await server.http.put(upload.link, content=DATA, headers=headers)
    assert answer.status_code == 200
    assert upload.path.read_bytes() == DATA
    assert upload.path.is_relative_to(server.home / "uploads" / "p" / "development")
    text = (await server.http.get("/metrics")).text
    assert 'flyte_transfers_total{kind="upload",status="200"} 1.0' in text
    assert f"flyte_uploaded_bytes_total {float(len(DATA))}" in text


async def test_the_same_content_goes_to_the_same_place_and_any_other_to_its_own(serve: Serve) -> None:
    server = await serve()
    digest = md5(DATA).digest()
    known = [server.uploads.link(wanted(content_md5=digest)).path for _ in range(2)]
    unknown = [server.uploads.link(wanted()).path for _ in range(2)]
    assert len({*known, *unknown}) == 3


async def test_files_of_a_folder_are_together_below_its_root(serve: Serve) -> None:
    server = await serve()
    paths = []
    for name in ("a.txt", "deep/b.txt"):
        upload = server.uploads.link(wanted(filename=name, filename_root="root1"))
        assert (await server.http.put(upload.link, content=name.encode())).status_code == 200
        paths.append(str(upload.path).partition("/root1/")[2])
    assert paths == ["a.txt", "deep/b.txt"]
    assert files_of(server.home) == ["p/development/root1/a.txt", "p/development/root1/deep/b.txt"]


async def test_no_root_is_the_folder_of_what_is_kept_by_its_content(serve: Serve) -> None:
    server = await serve()
    bundle = server.uploads.link(wanted(content_md5=md5(DATA).digest()))
    assert (await server.http.put(bundle.link, content=DATA)).status_code == 200
    inputs = server.uploads.content_place("p", "development", f"inputs-{'0f' * 32}", "inputs.pb")
    for path in (bundle.path, inputs, server.home / "uploads" / "p" / "development" / "inline" / "x" / "inputs.pb"):
        root, _, name = str(path.relative_to(server.home / "uploads" / "p" / "development")).rpartition("/")
        with pytest.raises(InvalidRequestError, match="filename_root"):
            server.uploads.link(wanted(filename=name, filename_root=root, content_md5=md5(b"other").digest()))


async def test_a_file_of_many_pieces_of_unknown_length_is_whole(serve: Serve) -> None:
    server = await serve(max_upload_bytes=8 << 20)
    piece = os.urandom(100_000)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield piece

    upload = server.uploads.link(wanted(content_md5=md5(piece * 50).digest()))
    assert (await server.http.put(upload.link, content=pieces())).status_code == 200
    assert upload.path.read_bytes() == piece * 50


async def put(server: Served, link: str, **options: object) -> int:
    """The status of an upload."""
    return (await server.http.put(link, **{"content": DATA, **options})).status_code  # type: ignore[arg-type]


async def test_an_upload_that_is_not_what_was_said_leaves_nothing(serve: Serve) -> None:
    server = await serve(max_upload_bytes=100_000)

    def link(**options: object) -> str:
        return server.uploads.link(wanted(**options)).link

    wrong = {"content-md5": b64encode(md5(b"other").digest()).decode()}

    async def too_many() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 1000

    assert await put(server, link(content_md5=md5(b"other").digest())) == 400
    assert await put(server, link(content_length=len(DATA) + 1)) == 400
    assert await put(server, link(content_length=len(DATA) - 1)) == 413
    assert await put(server, link(), headers=wrong) == 400
    assert await put(server, link(), headers={"content-md5": "?"}) == 400
    assert await put(server, link(), content=b"x" * 100_001) == 413
    assert await put(server, link(), content=too_many()) == 413
    assert files_of(server.home) == []


async def test_a_link_that_is_not_ours_for_this_or_any_more_is_refused(serve: Serve) -> None:
    server = await serve()
    good = server.uploads.link(wanted()).link
    path, query = urlsplit(good).path, urlsplit(good).query
    limits = {"max": "100000"}
    sign = server.signer.sign
    soon = int(time.time()) + 60
    escapes = [
        "/upload/../tokens.json",
        "/upload/p/../../store.db",
        "/upload//etc/passwd",
        "/upload/p/a\0b",
        "/upload/",
    ]
    for link in (
        path,
        f"{path}?{query[:-1]}{'1' if query.endswith('0') else '0'}",
        f"{path}/more?{query}",
        f"{path}?{query.replace('max=', 'max=9')}",
        sign("PUT", path, int(time.time()) - 1, limits),
        sign("GET", path, soon, limits),
        *(sign("PUT", f"/upload/{each}", soon, limits) for each in escapes),
    ):
        # As it is: a client would tidy `..` away.
        assert await put_as_is(server, link) in (400, 403), link
    assert await put_as_is(server, good) == 200
    assert not (server.home / "tokens.json").exists()
    assert len(files_of(server.home)) == 1


async def put_as_is(server: Served, link: str) -> int:
    """The status of an upload whose address nobody touches on its way."""
    reader, writer = await asyncio.open_connection("localhost", server.port)
    writer.write(f"PUT {link} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    await writer.wait_closed()
    return status


async def test_a_link_in_the_folder_that_leads_out_of_it_is_not_followed(serve: Serve, tmp_path: Path) -> None:
    server = await serve()
    upload = server.uploads.link(wanted(filename_root="root1"))
    upload.path.parent.parent.mkdir(parents=True)
    upload.path.parent.symlink_to(tmp_path)
    assert await put(server, upload.link) == 403
    assert list(tmp_path.iterdir()) == []


async def test_a_connection_that_is_cut_leaves_nothing(serve: Serve) -> None:
    server = await serve()
    link = server.uploads.link(wanted()).link
    reader, writer = await asyncio.open_connection("localhost", server.port)
    writer.write(f"PUT {link} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50000\r\n\r\n".encode() + b"x" * 20_000)
    await writer.drain()
    async with asyncio.timeout(5):
        while not files_of(server.home):
            await asyncio.sleep(0.005)
        writer.close()
        await writer.wait_closed()
        while files_of(server.home):
            await asyncio.sleep(0.005)
    assert 'kind="upload",status="400"' in (await server.http.get("/metrics")).text


async def test_an_address_for_uploads_takes_nothing_else(serve: Serve) -> None:
    server = await serve()
    link = server.uploads.link(wanted()).link
    for method in ("GET", "POST", "DELETE", "HEAD"):
        answer = await server.http.request(method, link)
        assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")


async def test_of_two_uploads_at_once_one_wins_whole(serve: Serve) -> None:
    server = await serve()
    link = server.uploads.link(wanted(filename_root="r")).link
    bodies = [bytes([number]) * 200_000 for number in range(6)]
    statuses = await asyncio.gather(*(put(server, link, content=body) for body in bodies))
    assert statuses == [200] * 6
    assert (server.home / "uploads/p/development/r/code.tgz").read_bytes() in bodies


@pytest.mark.parametrize(
    "options",
    [
        {"project": ""},
        {"project": ".."},
        {"project": "a/b"},
        {"domain": "."},
        {"filename": "../x"},
        {"filename": "/etc/passwd"},
        {"filename": "a//b"},
        {"filename": "a/./b"},
        {"filename": "a\0b"},
        {"filename": "a\nb"},
        {"filename": "x" * 300},
        {"filename": "/".join(["x" * 200] * 20)},
        {"filename_root": "../../x"},
        {"filename_root": "/x"},
        {"content_md5": b"short"},
        {"content_length": -1},
        {"content_length": 2 << 20},
        {"expires_in_s": -5},
        {"expires_in_s": 1 << 40},
    ],
)
async def test_no_link_is_given_for_what_can_be_no_file(serve: Serve, options: dict[str, object]) -> None:
    server = await serve()
    with pytest.raises(InvalidRequestError):
        server.uploads.link(wanted(**options))


async def test_no_name_leads_out_of_the_folder(serve: Serve) -> None:
    server = await serve()
    text = st.text(st.sampled_from("./\\~a\0\n%$"), max_size=12)

    @given(text, text, text, text)
    def check(project: str, domain: str, name: str, root: str) -> None:
        try:
            upload = server.uploads.link(UploadRequest(project, domain, name, root))
        except InvalidRequestError:
            return
        place = server.home / "uploads" / project / domain
        assert Path(os.path.normpath(upload.path)).is_relative_to(place)
        assert place.parent.parent == server.home / "uploads"

    check()
