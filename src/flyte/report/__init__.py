"""HTML that a task shows about itself, in tabs, as one page that opens anywhere.

```python
import flyte
import flyte.report

env = flyte.TaskEnvironment(name="training")


@env.task(report=True)
async def train(epochs: int) -> float:
    loss = 1.0
    for epoch in range(epochs):
        loss /= 2
        await flyte.report.log.aio(f"<p>epoch {epoch}: loss {loss}</p>", do_flush=True)
    return loss
```

Importing this package is cheap: every attempt that asks for its context has a `Report`.
"""

from __future__ import annotations

from flyte.report._current import current_report, flush, get_tab, log, replace
from flyte.report._markup import Markup, abbreviate
from flyte.report._rendering import to_html
from flyte.report._report import Report, Tab
from flyte.report._timeline import Timeline, duration_ms

__all__ = [
    "Markup",
    "Report",
    "Tab",
    "Timeline",
    "abbreviate",
    "current_report",
    "duration_ms",
    "flush",
    "get_tab",
    "log",
    "replace",
    "to_html",
]
