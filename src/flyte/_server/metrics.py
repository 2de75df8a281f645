"""What the server tells Prometheus of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True, slots=True)
class OpenWork:
    """How much has not ended, by the names of phases.

    Attributes:
        runs: Runs of this server.
        actions: Actions of those runs.
        attempts: Attempts that have a process, or are about to.
    """

    runs: Mapping[str, int] = field(default_factory=dict)
    actions: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 0


class Metrics:
    """Counts what the server does.

    Args:
        open_work: Says what has not ended, when somebody asks.
        open_streams: Says how many streams are open.
    """

    def __init__(self, open_work: Callable[[], Awaitable[OpenWork]], open_streams: Callable[[], int]) -> None:
        self._open_work = open_work
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "flyte_rpc", "Calls that have ended.", ("service", "method", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "flyte_rpc_seconds",
            "How long unary calls took.",
            ("service", "method"),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._transfers = Counter(
            "flyte_transfers", "Uploads and downloads that have ended.", ("kind", "status"), registry=self._registry
        )
        self._uploaded = Counter("flyte_uploaded_bytes", "Bytes of uploads.", registry=self._registry)
        self._gauges = _Gauges(open_streams)
        self._registry.register(self._gauges)
        ProcessCollector(registry=self._registry)

    def count_call(self, service: str, method: str, code: str, seconds: float | None) -> None:
        """A call has ended; `seconds` is None for a stream, which takes as long as its reader likes."""
        self._calls.labels(service, method, code).inc()
        if seconds is not None:
            self._seconds.labels(service, method).observe(seconds)

    def count_transfer(self, kind: str, status: int) -> None:
        """An upload or download has ended with that HTTP status."""
        self._transfers.labels(kind, str(status)).inc()

    def count_uploaded(self, size_bytes: int) -> None:
        """So much has come."""
        self._uploaded.inc(size_bytes)

    async def text(self) -> bytes:
        """All of it in the text format of Prometheus."""
        self._gauges.work = await self._open_work()
        return generate_latest(self._registry)


class _Gauges(Collector):
    def __init__(self, open_streams: Callable[[], int]) -> None:
        self._open_streams = open_streams
        self.work = OpenWork()

    def collect(self) -> Iterable[Metric]:
        """What is so at this moment."""
        for name, what, counts in (
            ("flyte_open_runs", "Runs that have not ended, by phase.", self.work.runs),
            ("flyte_open_actions", "Actions of open runs that have not ended, by phase.", self.work.actions),
        ):
            gauge = GaugeMetricFamily(name, what, labels=("phase",))
            for phase, count in counts.items():
                gauge.add_metric((phase,), count)
            yield gauge
        yield GaugeMetricFamily("flyte_open_attempts", "Attempts that have not ended.", self.work.attempts)
        yield GaugeMetricFamily("flyte_open_streams", "Streams that are open.", self._open_streams())
