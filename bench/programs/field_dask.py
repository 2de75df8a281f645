"""`field_dask.py SHAPE N WORKERS`: a client gathers N trivial tasks, at once or one after the other; Dask distributed.

WORKERS is `processes`, two of one thread each, or `threads`, one worker of two threads in the process of the client.
"""

from __future__ import annotations

import sys
import time

from distributed import Client, LocalCluster
from field_clock import measure


def leaf(x: int) -> int:
    return x


def successor(x: int) -> int:
    return x + 1


def fan_out(client: Client, width: int) -> float:
    start = time.perf_counter()
    # Not pure: a pure call of the same function and value would be answered by the one of the warm-up.
    results = client.gather(client.map(leaf, range(width), pure=False))
    seconds = time.perf_counter() - start
    assert results == list(range(width))
    return seconds


def chain(client: Client, length: int) -> float:
    start = time.perf_counter()
    x = 0
    for _ in range(length):
        x = client.submit(successor, x, pure=False).result()
    seconds = time.perf_counter() - start
    assert x == length
    return seconds


def chain_by_reference(client: Client, length: int) -> float:
    """What Dask's documentation advises: pass the future on, and ask for the last result only."""
    start = time.perf_counter()
    x = client.submit(leaf, 0, pure=False)
    for _ in range(length):
        x = client.submit(successor, x, pure=False)
    result = x.result()
    seconds = time.perf_counter() - start
    assert result == length
    return seconds


if __name__ == "__main__":
    processes = sys.argv[3] == "processes"
    with (
        LocalCluster(
            n_workers=2 if processes else 1,
            threads_per_worker=1 if processes else 2,
            processes=processes,
            dashboard_address=None,
            # Threads are reached inside the process.
            host="127.0.0.1" if processes else None,
        ) as cluster,
        Client(cluster) as client,
    ):
        measure(
            {
                "fan-out": lambda n: fan_out(client, n),
                "chain": lambda n: chain(client, n),
                "chain-by-reference": lambda n: chain_by_reference(client, n),
            }
        )
