"""`field_ray.py SHAPE N`: the driver gets N trivial remote tasks, at once or in a row; Ray with two workers."""

from __future__ import annotations

import tempfile
import time

import ray
from field_clock import measure


@ray.remote
def leaf(x: int) -> int:
    return x


@ray.remote
def successor(x: int) -> int:
    return x + 1


def fan_out(width: int) -> float:
    start = time.perf_counter()
    results = ray.get([leaf.remote(i) for i in range(width)])
    seconds = time.perf_counter() - start
    assert results == list(range(width))
    return seconds


def chain(length: int) -> float:
    start = time.perf_counter()
    x = 0
    for _ in range(length):
        x = ray.get(successor.remote(x))
    seconds = time.perf_counter() - start
    assert x == length
    return seconds


def chain_by_reference(length: int) -> float:
    """What Ray's documentation advises: pass the reference on, and get the last result only."""
    start = time.perf_counter()
    x = ray.put(0)
    for _ in range(length):
        x = successor.remote(x)
    result = ray.get(x)
    seconds = time.perf_counter() - start
    assert result == length
    return seconds


if __name__ == "__main__":
    # Its sockets lie there, and the name of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        measure({"fan-out": fan_out, "chain": chain, "chain-by-reference": chain_by_reference})
        ray.shutdown()
