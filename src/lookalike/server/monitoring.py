"""What the service counts, for Prometheus: nothing of it leaves unless somebody asks for /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lookalike.server.batching import Figures

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Monitor:
    """Counts requests; `figures` tells how each model fares."""

    def __init__(self, figures: Callable[[], Mapping[str, Figures]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Models(figures))
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "lookalike_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "lookalike_request_seconds", "From a request's head to its answer.", ["route"], registry=self._registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the pattern of its path ("" where there is none), so that labels stay few."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All figures, in Prometheus's text format."""
        return generate_latest(self._registry)


class _Models(Collector):
    def __init__(self, figures: Callable[[], Mapping[str, Figures]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        waiting = GaugeMetricFamily("lookalike_waiting", "Pictures and words that wait for a model.", labels=["model"])
        embedded = CounterMetricFamily("lookalike_embedded", "Pictures and words embedded.", labels=["model"])
        refused = CounterMetricFamily("lookalike_refused", "Requests refused, for too many wait.", labels=["model"])
        for model, figures in self._figures().items():
            waiting.add_metric([model], figures.waiting)
            embedded.add_metric([model], figures.embedded)
            refused.add_metric([model], figures.refused)
        yield from (waiting, embedded, refused)
