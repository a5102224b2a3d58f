"""Middleware for FastAPI and any other ASGI application: ids for every request and its log lines, and the ``http_*`` metrics.

``app.add_middleware(RequestMiddleware)``. Spans are made by OpenTelemetry's own instrumentation.
"""

from __future__ import annotations

import time
from typing import Any

from watchfire.context import CORRELATION_ID, REQUEST_ID, correlation_id, new_id, request_id, sane_id
from watchfire.metrics import MetricsService, get_metrics_service

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
#: What stands for the route of a request that has none: paths that anybody can make up must not become names.
NO_ROUTE = "unmatched"


class RequestMiddleware:
    """Gives every request a new id, takes over or makes the correlation id, says both in the answer, and counts."""

    def __init__(self, app: Any, metrics: MetricsService | None = None) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        own = new_id()
        shared = sane_id(given.get(CORRELATION_ID)) or sane_id(given.get(REQUEST_ID)) or new_id()
        tokens = (request_id.set(own), correlation_id.set(shared))
        status = 500

        async def answer(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                headers += [(REQUEST_ID.encode(), own.encode()), (CORRELATION_ID.encode(), shared.encode())]
                message = {**message, "headers": headers}
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, answer)
        finally:
            self._count(scope, status, time.perf_counter() - began)
            request_id.reset(tokens[0])
            correlation_id.reset(tokens[1])

    def _count(self, scope: Any, status: int, seconds: float) -> None:
        metrics = self._metrics or get_metrics_service()
        method = scope["method"] if scope["method"] in _METHODS else "other"
        labels = {"method": method, "endpoint": getattr(scope.get("route"), "path", NO_ROUTE)}
        metrics.increment("http_requests_total", {**labels, "status": str(status)})
        metrics.observe("http_request_duration_seconds", labels, seconds)
