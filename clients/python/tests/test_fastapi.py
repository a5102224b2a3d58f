"""A real FastAPI application, served by uvicorn, that asks a service, a database and a cache."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from shutil import which
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")
sqlalchemy = pytest.importorskip("sqlalchemy")
redis = pytest.importorskip("redis")
pytest.importorskip("opentelemetry.instrumentation.fastapi")

from watchfire import setup_telemetry, trace_span  # noqa: E402
from watchfire.metrics import MetricsService  # noqa: E402
from watchfire.middleware import RequestMiddleware  # noqa: E402
from watchfire.reporter import Reporter  # noqa: E402
from watchfire.settings import TraceSettings  # noqa: E402

TRACE, PARENT = "1234abcd5678ef901234abcd5678ef90", "abcdef1234567890"


@pytest.fixture
def cache() -> Iterator[str]:
    if which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(["redis-server", "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def application(service: str, cache: str, metrics: MetricsService) -> Any:
    app = fastapi.FastAPI()
    engine = sqlalchemy.create_engine("sqlite://")
    app.add_middleware(RequestMiddleware, metrics=metrics)

    @app.get("/cameras/{camera_id}")
    async def camera(camera_id: str) -> dict[str, bool]:
        with trace_span("detect_objects", camera_id=camera_id):
            async with httpx.AsyncClient() as client:
                (await client.get(f"{service}/detect")).raise_for_status()
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))
            redis.from_url(cache).set("newest", camera_id)
            logging.getLogger("app").info("Detection complete")
        return {"done": True}

    return app


@pytest.fixture
def backend(spans, cache, server) -> Iterator[tuple[str, Any, Any, MetricsService]]:
    service, told = server(), server()
    metrics = MetricsService(Reporter(url=told.url, interval=3_600))
    app = application(service.url, cache, metrics)
    setup_telemetry(app, settings=TraceSettings(enabled=True))
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", service, told, metrics
    running.should_exit = True
    thread.join()


def ask(url: str, headers: dict[str, str]) -> Any:
    import urllib.request

    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10)


def test_trc_02_and_trc_03_one_trace_from_the_caller_to_service_database_and_cache(spans, backend) -> None:
    url, service, told, metrics = backend
    given = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=value", "x-correlation-id": "req-abc123"}
    with ask(f"{url}/cameras/front_door", given) as answer:
        answered = dict(answer.headers)
    all_spans: dict[str, Any] = {}
    # A request's span ends a little after its answer.
    for _ in range(200):
        all_spans = {span.name: span for span in spans()}
        if "GET /cameras/{camera_id}" in all_spans:
            break
        time.sleep(0.05)
    assert {format(span.context.trace_id, "032x") for span in all_spans.values()} == {TRACE}
    server = all_spans["GET /cameras/{camera_id}"]
    assert (format(server.parent.span_id, "016x"), server.kind.name) == (PARENT, "SERVER")
    detect = all_spans["detect_objects"]
    below = [span for span in all_spans.values() if span.parent and span.parent.span_id == detect.context.span_id]
    systems = {span.attributes.get("db.system") or span.attributes.get("db.system.name") for span in below}
    assert {"sqlite", "redis"} <= systems
    call = next(span for span in below if span.name.startswith("GET") and span.kind.name == "CLIENT")
    _, headers, _ = service.requests[0]
    assert headers["traceparent"] == f"00-{TRACE}-{call.context.span_id:016x}-01"
    assert (headers["tracestate"], headers["x-correlation-id"]) == ("vendor=value", "req-abc123")
    assert (len(answered["x-request-id"]), answered["x-correlation-id"]) == (32, "req-abc123")
    assert metrics.flush()
    names = {item["name"]: item["labels"] for item in told.requests[0][2]}
    assert names["http_requests_total"] == {"endpoint": "/cameras/{camera_id}", "method": "GET", "status": "200"}
    assert names["http_request_duration_seconds"] == {"endpoint": "/cameras/{camera_id}", "method": "GET"}


def test_log_04_and_log_05_ids_of_requests(backend) -> None:
    url, _, _, _ = backend
    seen = set()
    for given, told in [({}, None), ({"x-request-id": "mine"}, "mine"), ({"x-request-id": "mine"}, "mine"), ({"x-correlation-id": "a b"}, None)]:
        with ask(f"{url}/cameras/1", given) as answer:
            seen.add(answer.headers["x-request-id"])
            assert answer.headers["x-correlation-id"] == told or (told is None and len(answer.headers["x-correlation-id"]) == 32)
    assert len(seen) == 4 and "mine" not in seen
