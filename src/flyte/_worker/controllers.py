"""What the calls of an attempt go to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flyte._worker.no_controller import NoController

ENDPOINT_VARIABLE = "_U_EP_OVERRIDE"


def controller_of(variables: Mapping[str, str] | None = None) -> Any:
    """The controller of all attempts of this process.

    Args:
        variables: Of the environment; default this process's own.
    """
    return NoController((os.environ if variables is None else variables).get(ENDPOINT_VARIABLE))
