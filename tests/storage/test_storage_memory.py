"""Data larger than memory goes through: a process moves 256 MiB in a part of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3 import KEYS, S3Server
from tests.storage.conftest import S3Place

MIB = 1 << 20
PROGRAM = """
import asyncio, json, os, resource, sys
import flyte.storage as storage
from flyte.storage import _local, _objects, _open_files, _transfer

SIZE = 256 << 20
base, source, *ways = sys.argv[1:]
target = source + ".back"

async def pieces():
    piece = os.urandom(1 << 20)
    for _ in range(SIZE >> 20):
        yield piece

async def put_stream():
    await storage.put_stream(pieces(), to_path=base + "/stream")

async def get_stream():
    assert sum([len(chunk) async for chunk in storage.get_stream(base + "/stream")]) == SIZE

async def write():
    async with await storage.open(base + "/opened", "wb") as file:
        async for piece in pieces():
            await file.write(piece)

async def read():
    count = 0
    async with await storage.open(base + "/opened") as file:
        while piece := await file.read(1 << 20):
            count += len(piece)
    assert count == SIZE

async def put():
    await storage.put(source, base + "/file")

async def get():
    await storage.get(base + "/file", target)
    assert os.path.getsize(target) == SIZE
    os.unlink(target)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    await storage.put_stream(b"x", to_path=base + "/small")
    await storage.get(base + "/small", target)
    grown = {}
    for each in (globals()[way] for way in ways):
        before = peak()
        await each()
        grown[each.__name__] = peak() - before
    print(json.dumps(grown))

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_large_data_goes_through_a_small_process(kind: str, s3: S3Server, s3_place: S3Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(256 * MIB)
    base = s3_place.base if kind == "s3" else str(tmp_path / "place")
    variables = {
        "FLYTE_AWS_ENDPOINT": s3.url,
        "FLYTE_AWS_ACCESS_KEY_ID": KEYS["access_key_id"],
        "FLYTE_AWS_SECRET_ACCESS_KEY": KEYS["secret_access_key"],
        "AWS_REGION": KEYS["region"],
    }
    # An object is opened by what streams it too, and the server takes seconds for each way.
    ways = ["put_stream", "get_stream", "put", "get", *(["write", "read"] if kind == "local" else [])]
    command = [sys.executable, "-c", PROGRAM, base, str(source), *ways]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    grown = json.loads(done.stdout)
    assert sum(grown.values()) < 128, grown
