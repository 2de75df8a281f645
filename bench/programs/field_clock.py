"""What the programs of `field.py` share: their command line, the warm-up and the figure they print.

Each is `field_SYSTEM.py SHAPE N`. This module runs in the environment of every system, so it needs nothing but the
standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

WARM_UP = 20


def measure(shapes: Mapping[str, Callable[[int], float]]) -> None:
    """Print the microseconds an action takes in the shape and number that the command line names.

    A shape takes how many actions to make, and returns the seconds from the first call to the last result. It is called
    once before with few of them: the first call waits for servers, workers and imports, which are paid for only once.
    """
    shape, count = shapes[sys.argv[1]], int(sys.argv[2])
    shape(WARM_UP)
    print(json.dumps({"us": shape(count) / count * 1e6}))
