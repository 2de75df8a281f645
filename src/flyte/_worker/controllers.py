"""What the calls of an attempt go to."""

from __future__ import annotations

import os
from typing import Any

from flyte._worker.no_controller import NoController
from flyte._worker.request import AttemptRequest

ENDPOINT_VARIABLE = "_U_EP_OVERRIDE"


def controller_of(request: AttemptRequest) -> Any:
    """The controller of an attempt, in a process of its own or beside others in a worker that is reused."""
    return NoController(os.environ.get(ENDPOINT_VARIABLE))
