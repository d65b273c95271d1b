"""Request counts and times for Prometheus, and the middleware that records them."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKET_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"


class Metrics:
    """The metrics of one server, in a registry of their own.

    Labels are bounded, whatever clients send: a route is the template that matched ("/api/v1/photos/{id}"),
    a method is one of the known ones, or "other".
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "clipsight_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "clipsight_request_seconds",
            "Seconds from the first byte of a request to the last byte of its response.",
            ("route",),
            buckets=_BUCKET_SECONDS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "clipsight_requests_in_progress", "Requests being answered.", registry=registry
        )
        self.healthy = Gauge(
            "clipsight_healthy", "1 if the catalog and the model can be used.", registry=registry
        )
        self.photos = Gauge("clipsight_photos", "Photos in the library.", registry=registry)
        self.indexing = Gauge("clipsight_indexing", "1 while indexing.", registry=registry)
        memory = Gauge(
            "clipsight_resident_bytes", "Resident memory of the server process.", registry=registry
        )
        memory.set_function(_resident_bytes)

    def observe(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Record an answered request; `route` is None if no route matched."""
        route = route or _OTHER
        self._requests.labels(route, method if method in _METHODS else _OTHER, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, version 0.0.4."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """The metrics without creation times, which would make the text a third longer."""
        for metric in self._registry.collect():
            metric.samples = [each for each in metric.samples if each.name != f"{metric.name}_created"]
            yield metric


class MetricsMiddleware:
    """Records every HTTP request that `app` answers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_and_record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, send_and_record_status)
            finally:
                route = getattr(scope.get("route"), "path", None)
                self.metrics.observe(route, scope["method"], status, time.perf_counter() - started)


def _resident_bytes() -> float:
    """Memory of this process; 0 where there is no /proc."""
    try:
        return float(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    except OSError:
        return 0.0
