"""What tests share: spans in memory, a server that keeps what it is told, and a fresh look at both for every test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import watchfire.telemetry as telemetry
from watchfire.settings import TraceSettings

_exporter = InMemorySpanExporter()


@pytest.fixture
def spans() -> Iterator[Callable[[], list[Any]]]:
    """Tracing is on; gives a function that flushes and tells the spans so far."""
    assert telemetry.setup_telemetry(settings=TraceSettings(enabled=True), exporter=_exporter)
    telemetry.flush_telemetry()
    _exporter.clear()

    def finished() -> list[Any]:
        assert telemetry.flush_telemetry()
        return list(_exporter.get_finished_spans())

    yield finished


class Server:
    """Answers every request with the next of the answers, the last one for ever, and keeps what came."""

    def __init__(self, answers: list[tuple[int, Any]]) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.path, headers, json.loads(body) if body else None))
                status, answer = answers[min(len(outer.requests), len(answers)) - 1]
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Makes servers that end with the test."""
    made: list[Server] = []

    def make(*answers: tuple[int, Any]) -> Server:
        made.append(Server(list(answers) or [(200, {})]))
        return made[-1]

    yield make
    for one in made:
        one.close()
