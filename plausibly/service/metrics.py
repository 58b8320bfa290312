"""Numbers of the engines, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from plausibly.service.pool import EngineProcess


class EngineCollector(Collector):
    """Requests, starts, time waited, queue and memory of each engine, looked up when they are asked for."""

    def __init__(self, engines: Collection[EngineProcess]) -> None:
        self.engines = engines

    def collect(self) -> Iterator[Metric]:
        for name, about, read in (
            ("requests", "Requests that were handed over.", lambda engine: engine.counts.requests),
            ("starts", "Processes that were started.", lambda engine: engine.counts.starts),
            ("late", "Requests that were not answered in time.", lambda engine: engine.counts.late),
            (
                "wait_seconds",
                "Seconds that requests waited for answers.",
                lambda engine: engine.counts.seconds_waited,
            ),
        ):
            counter = CounterMetricFamily(f"plausibly_{name}", about, labels=["run"])
            for engine in self.engines:
                counter.add_metric([engine.name], read(engine))
            yield counter
        queue = GaugeMetricFamily(
            "plausibly_queue", "Requests without an answer yet.", labels=["run"]
        )
        memory = GaugeMetricFamily(
            "plausibly_resident_bytes", "Memory of the engine.", labels=["run"]
        )
        for engine in self.engines:
            queue.add_metric([engine.name], engine.queue)
            memory.add_metric([engine.name], resident_bytes(engine.pid))
        yield from (queue, memory)


def resident_bytes(pid: int | None) -> int:
    """The memory that a process holds; 0 where there is none, or the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0][1]) << 10 if lines else 0
