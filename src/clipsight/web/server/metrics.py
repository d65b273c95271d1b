"""Counts and times of requests, as Prometheus reads them (text format 0.0.4). Called by `guard` and `api`."""

import threading
from collections import Counter
from pathlib import Path

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class Metrics:
    """Requests by route, method and status, and how long they took by route."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self.in_progress = 0

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note a request that has been answered."""
        with self._lock:
            self._requests[route, method, status] += 1
            self._counts[route] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + seconds
            for bound in _BUCKETS:
                if seconds <= bound:
                    self._buckets[route, bound] += 1

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """All of it, and `gauges` of the moment: name to (help, value)."""
        with self._lock:
            requests, counts = dict(self._requests), dict(self._counts)
            buckets, seconds = dict(self._buckets), dict(self._seconds)
        lines = _head("clipsight_requests_total", "counter", "Requests answered.")
        lines += [
            f'clipsight_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
            for (route, method, status), count in sorted(requests.items())
        ]
        name = "clipsight_request_seconds"
        lines += _head(name, "histogram", "From a request's first byte to its answer's last.")
        for route, count in sorted(counts.items()):
            lines += [
                f'{name}_bucket{{route="{route}",le="{bound}"}} {buckets.get((route, bound), 0)}'
                for bound in _BUCKETS
            ]
            lines.append(f'{name}_bucket{{route="{route}",le="+Inf"}} {count}')
            lines.append(f'{name}_sum{{route="{route}"}} {seconds[route]:.6f}')
            lines.append(f'{name}_count{{route="{route}"}} {count}')
        lines += _head("clipsight_requests_in_progress", "gauge", "Requests being answered.")
        lines.append(f"clipsight_requests_in_progress {self.in_progress}")
        for gauge, (what, value) in gauges.items():
            lines += [*_head(gauge, "gauge", what), f"{gauge} {value:g}"]
        return "\n".join(lines) + "\n"


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    import resource

    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _head(name: str, kind: str, what: str) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
