"""A real S3 server on loopback, in a process of its own, for tests and benchmarks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from flyte.storage import S3

KEYS: dict[str, Any] = {"access_key_id": "test", "secret_access_key": "secret-of-tests", "region": "us-east-1"}

_PROGRAM = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
"""It ends with whoever started it: that is when its standard input does."""

_serials = count()


class Impatient(S3):
    """Settings of tests: a connection that says nothing for a moment is dead."""

    stalled_after = timedelta(seconds=0.3)


class S3Server:
    """The server.

    Attributes:
        url: Its endpoint.
        client: A boto3 client of it, which sees what the code under test cannot hide.
    """

    def __init__(self, port: int) -> None:
        import boto3

        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEYS["access_key_id"],
            aws_secret_access_key=KEYS["secret_access_key"],
            region_name=KEYS["region"],
        )

    def new_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{next(_serials)}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        """The keys of all objects in a bucket, sorted."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", ()))

    def open_uploads(self, bucket: str) -> list[str]:
        """The keys of uploads that were begun, and neither completed nor aborted."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


def settings(endpoint: str, retries: int = 3) -> S3:
    """How the server, or a proxy before it, is reached; retries come after milliseconds."""
    return Impatient(retries=retries, backoff=timedelta(milliseconds=1), endpoint=endpoint, **KEYS)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """The server, until the block ends."""
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM]
    process = subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # What it says before it is up is not for us.
        port = next(int(line) for line in process.stdout if line.strip().isdecimal())
        yield S3Server(port)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
