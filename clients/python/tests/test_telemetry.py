"""Scopes, decorators, ids, settings and rates."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from watchfire import get_trace_id, setup_telemetry, trace_function, trace_span
from watchfire.settings import SettingsError, TraceSettings
from watchfire.telemetry import _Running

read = TraceSettings.from_environment


@pytest.mark.parametrize("value, enabled", [("", False), ("false", False), ("true", True), ("TRUE", True), ("1", True)])
def test_trc_01_tracing_is_off_unless_it_is_turned_on(value: str, enabled: bool) -> None:
    assert read({"OTEL_ENABLED": value}).enabled is enabled
    assert read({}).enabled is False
    with pytest.raises(SettingsError, match="true or false"):
        read({"OTEL_ENABLED": "maybe"})


def test_trc_01_and_trc_11_off_is_said_and_makes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert setup_telemetry(settings=TraceSettings()) is False
    assert "telemetry: tracing is off" in caplog.text


def test_trc_04_and_trc_05_defaults_and_what_changes_them() -> None:
    assert (read({}).service_name, read({}).url) == ("nemotron-backend", "http://localhost:4317")
    assert read({"OTEL_SERVICE_NAME": "detector"}).service_name == "detector"
    endpoint, insecure, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_PROTOCOL"
    for environment, url in [
        ({endpoint: "http://jaeger:4317"}, "http://jaeger:4317"),
        ({endpoint: "https://c:4317", insecure: "true"}, "http://c:4317"),
        ({endpoint: "http://c:4317", insecure: "false"}, "https://c:4317"),
        ({endpoint: "c:4317"}, "http://c:4317"),
        ({protocol: "http/protobuf"}, "http://localhost:4318/v1/traces"),
        ({protocol: "http/protobuf", endpoint: "http://c:4318/v1/traces"}, "http://c:4318/v1/traces"),
    ]:
        assert read(environment).url == url


@pytest.mark.parametrize("bad", ["1.1", "-0.1", "nan", "ten"])
def test_trc_07_rates_that_are_no_share_are_refused(bad: str) -> None:
    with pytest.raises(SettingsError, match="0.0 to 1.0"):
        read({"OTEL_TRACE_SAMPLE_RATE": bad})


@pytest.mark.parametrize("rate, expected", [(0.0, 0), (0.1, 400), (1.0, 4_000)])
def test_trc_07_rates_are_kept(rate: float, expected: int) -> None:
    exporter = InMemorySpanExporter()
    running = _Running(TraceSettings(enabled=True, sample_rate=rate), exporter)
    tracer = running.provider.get_tracer("test")
    for at in range(4_000):
        with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
            pass
        if at % 500 == 0:
            running.provider.force_flush()
    running.provider.force_flush()
    names = [span.name for span in exporter.get_finished_spans()]
    # Five standard deviations of the binomial distribution.
    assert abs(names.count("root") - expected) <= 5 * math.sqrt(4_000 * rate * (1 - rate))
    assert names.count("child") == names.count("root")
    assert running.lost() == 0


def test_trc_08_a_span_is_a_scope_with_attributes(spans) -> None:
    with trace_span("detect_objects", camera_id="front_door", zone=None) as span:
        with trace_span("inner"):
            pass
        span.set_attribute("detection_count", 3)
    inner, outer = spans()
    assert dict(outer.attributes) == {"camera_id": "front_door", "detection_count": 3}
    assert (inner.parent.span_id, outer.parent) == (outer.context.span_id, None)
    assert outer.resource.attributes["service.name"] == "nemotron-backend"


def test_trc_08_an_exception_marks_the_span_and_goes_on(spans) -> None:
    with pytest.raises(ValueError), trace_span("llm_inference"):
        raise ValueError("no answer")
    (span,) = spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.events[0].attributes["exception.message"] == "no answer"


def test_trc_09_every_call_is_a_span(spans) -> None:
    @trace_function("analyze_batch")
    async def analyze_batch(batch_id: str) -> str:
        await asyncio.sleep(0)
        return get_trace_id() or ""

    @trace_function()
    def plain(a: int, *, b: int) -> int:
        return a + b

    async def both() -> list[str]:
        return await asyncio.gather(analyze_batch("a"), analyze_batch(batch_id="b"))

    first, second = asyncio.run(both())
    assert first != second and plain(1, b=2) == 3
    assert sorted(span.name for span in spans()) == ["analyze_batch", "analyze_batch", plain.__qualname__]


def test_trc_10_the_id_of_the_current_trace(spans) -> None:
    assert get_trace_id() is None
    with trace_span("s"):
        found = get_trace_id()
    assert found == format(spans()[0].context.trace_id, "032x")
