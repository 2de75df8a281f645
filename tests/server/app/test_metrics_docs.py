"""The table of metrics in the documentation says what the server tells Prometheus."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from flyte._server.metrics import Metrics, OpenWork
from tests.server.planes import ROOT

_ROW = re.compile(r"`(flyte_\w+)(?:\{([\w,]+)\})?`")
_OWN_LABELS = {"le"}


def documented() -> dict[str, set[str]]:
    """The labels of each metric in the table."""
    page = (ROOT / "docs" / "control-plane.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `flyte_")]
    return {name: set(filter(None, labels.split(","))) for row in rows for name, labels in _ROW.findall(row)}


async def test_each_metric_is_documented_with_its_labels_and_no_other() -> None:
    async def work() -> OpenWork:
        return OpenWork({"running": 1}, {"queued": 1}, 1)

    metrics = Metrics(work, lambda: 1)
    metrics.count_call("Service", "Method", "ok", 0.1)
    metrics.count_transfer("upload", 200)
    metrics.count_uploaded(1)
    told: dict[str, set[str]] = {}
    for family in text_string_to_metric_families((await metrics.text()).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.startswith("flyte_") and not name.endswith("_created"):
            told[name] = {label for sample in family.samples for label in sample.labels} - _OWN_LABELS
    assert documented() == told
