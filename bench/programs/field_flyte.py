"""`field_flyte.py SHAPE N [recorded]`: the programs of `fanout.py` and `chain.py`, for both distributions.

With `recorded`, the official release is told to keep its runs too, which it does not do by itself.
"""

from __future__ import annotations

import sys

from deep import chain
from field_clock import measure
from wide import fan_out

import flyte


def run_fan_out(count: int) -> float:
    seconds: float = flyte.run(fan_out, count).outputs()[0]
    return seconds


def run_chain(count: int) -> float:
    seconds: float = flyte.run(chain, count).outputs()[0]
    return seconds


if __name__ == "__main__":
    if "recorded" in sys.argv[3:]:
        flyte.init(local_persistence=True)
    measure({"fan-out": run_fan_out, "chain": run_chain})
