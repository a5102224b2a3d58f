"""Traces by OpenTelemetry's own packages: one call sets them up, a scope, a decorator and an id are what programs use.

Setting up also lets FastAPI, HTTPX, SQLAlchemy and Redis make spans where their instrumentations are installed.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from watchfire.context import CORRELATION_ID, correlation_id
from watchfire.settings import HTTP, TraceSettings

logger = logging.getLogger("watchfire.telemetry")
F = TypeVar("F", bound=Callable[..., Any])

#: What makes spans by itself: the module, its class, and how it is called in messages.
_INSTRUMENTATIONS = (
    ("opentelemetry.instrumentation.httpx", "HTTPXClientInstrumentor", "httpx"),
    ("opentelemetry.instrumentation.sqlalchemy", "SQLAlchemyInstrumentor", "sqlalchemy"),
    ("opentelemetry.instrumentation.redis", "RedisInstrumentor", "redis"),
)
_PLAIN = (str, bool, int, float)
_lock = threading.Lock()
_running: _Running | None = None


class _Counting(SpanExporter):
    """Another exporter with a count of what it did not deliver."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.delivered = 0
        self.failed = 0

    def export(self, spans: Any) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.delivered += len(spans)
        else:
            self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Batches(BatchSpanProcessor):
    """The usual processor with a count of what came; its bounded queue drops the oldest."""

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter, schedule_delay_millis=1_000)
        self._count = threading.Lock()
        self.ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            with self._count:
                self.ended += 1
        super().on_end(span)


class _Running:
    def __init__(self, settings: TraceSettings, exporter: SpanExporter | None) -> None:
        self.exporter = _Counting(exporter or _exporter(settings))
        self.batches = _Batches(self.exporter)
        sampler = ParentBased(TraceIdRatioBased(settings.sample_rate))
        resource = Resource.create({"service.name": settings.service_name})
        self.provider = TracerProvider(sampler=sampler, resource=resource)
        self.provider.add_span_processor(self.batches)

    def lost(self) -> int:
        return self.batches.ended - self.exporter.delivered


class _Correlation(TextMapPropagator):
    """Sends the correlation id along with the trace. It is received by the middleware."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        from opentelemetry.context import Context

        return Context() if context is None else context

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        found = correlation_id.get()
        if found is not None and setter is not None:
            setter.set(carrier, CORRELATION_ID, found)

    @property
    def fields(self) -> set[str]:
        return {CORRELATION_ID}


def _exporter(settings: TraceSettings) -> SpanExporter:
    if settings.protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter(endpoint=settings.url)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

    return GrpcExporter(endpoint=settings.url, insecure=settings.url.startswith("http://"))


def setup_telemetry(app: Any = None, settings: TraceSettings | None = None, exporter: SpanExporter | None = None) -> bool:
    """Turns tracing on if ``OTEL_ENABLED`` says so, for the whole process and for a FastAPI application.

    Returns whether it is on. A second call only adds an application.
    """
    global _running
    settings = TraceSettings.from_environment() if settings is None else settings
    if not settings.enabled:
        logger.info("telemetry: tracing is off, OTEL_ENABLED=true turns it on")
        return False
    with _lock:
        if _running is None:
            _running = _Running(settings, exporter)
            trace.set_tracer_provider(_running.provider)
            context = [TraceContextTextMapPropagator(), W3CBaggagePropagator(), _Correlation()]
            propagate.set_global_textmap(CompositePropagator(context))
            made = [name for module, kind, name in _INSTRUMENTATIONS if _instrument(module, kind)]
            logger.info(
                "telemetry: tracing is on, spans of %s go to %s",
                settings.service_name,
                settings.url,
                extra={"protocol": settings.protocol, "sample_rate": settings.sample_rate, "instrumented": made},
            )
    if app is not None and not _instrument_app(app):
        logger.warning("telemetry: requests make no spans, opentelemetry-instrumentation-fastapi is not installed")
    return True


def _instrument(module: str, kind: str) -> bool:
    try:
        instrumentor = getattr(importlib.import_module(module), kind)()
    except ImportError:
        return False
    instrumentor.instrument()
    # It refuses versions that it does not know, and says so.
    return bool(instrumentor.is_instrumented_by_opentelemetry)


def _instrument_app(app: Any) -> bool:
    try:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    except ImportError:
        return False
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    return True


def flush_telemetry(timeout_millis: int = 10_000) -> bool:
    """Sends what there is; returns whether it was done in time."""
    return _running is None or _running.provider.force_flush(timeout_millis)


def lost_spans() -> int:
    """Spans that were dropped or not taken; right after :func:`flush_telemetry`, else with those that still wait."""
    return 0 if _running is None else _running.lost()


def shutdown_telemetry() -> None:
    """Sends what is left and ends tracing. The process does so at its end, too."""
    if _running is not None:
        _running.provider.shutdown()


def _tracer() -> trace.Tracer:
    return trace.get_tracer("watchfire")


def _attribute(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(item, _PLAIN) for item in value):
        return list(value)
    return str(value)


@contextmanager
def trace_span(name: str, **attributes: Any) -> Iterator[Span]:
    """Opens a span as a scope. An exception that leaves it is recorded, and marks it as failed."""
    given = {key: _attribute(value) for key, value in attributes.items() if value is not None}
    with _tracer().start_as_current_span(name, attributes=given) as span:
        yield span


def trace_function(name: str | None = None, **attributes: Any) -> Callable[[F], F]:
    """Makes every call of a function, asynchronous or not, a span."""

    def decorate(function: F) -> F:
        title = name or function.__qualname__
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced_async(*args: Any, **kwargs: Any) -> Any:
                with trace_span(title, **attributes):
                    return await function(*args, **kwargs)

            return traced_async  # type: ignore[return-value]

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with trace_span(title, **attributes):
                return function(*args, **kwargs)

        return traced  # type: ignore[return-value]

    return decorate


def get_trace_id() -> str | None:
    """The id of the current trace, 32 hexadecimal digits; ``None`` when there is none or tracing is off."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None
