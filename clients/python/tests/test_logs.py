"""Lines as a program writes them."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
from collections.abc import Iterator

import pytest

from watchfire import get_trace_id, setup_logging, trace_span
from watchfire.context import correlation_id, request_id


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    text = io.StringIO()
    setup_logging(handler=logging.StreamHandler(text))
    yield text
    root.handlers[:], level = before
    root.setLevel(level)


def test_log_01_log_02_and_log_06_a_line_has_time_level_message_ids_and_fields(spans, lines) -> None:
    with trace_span("s"):
        found = get_trace_id()
        logging.getLogger("detector").info("Detection %s", "complete", extra={"camera_id": "front_door", "trace_id": found})
    logging.warning("outside", extra={"trace_id": get_trace_id()})
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["timestamp"])
    assert (first["level"], first["message"], first["target"]) == ("INFO", "Detection complete", "detector")
    assert (first["trace_id"], first["camera_id"]) == (found, "front_door")
    assert re.fullmatch("[0-9a-f]{16}", first["span_id"])
    assert second["level"] == "WARNING" and "trace_id" not in second


def test_log_03_both_ids_also_with_tracing_off(lines) -> None:
    tokens = request_id.set("r-1"), correlation_id.set("req-abc123")
    logging.info("within")
    request_id.reset(tokens[0])
    correlation_id.reset(tokens[1])
    line = json.loads(lines.getvalue())
    assert (line["request_id"], line["correlation_id"]) == ("r-1", "req-abc123")
    assert "trace_id" not in line


def test_a_server_that_logs_by_itself_writes_such_lines_too() -> None:
    from uvicorn.config import LOGGING_CONFIG

    logging.config.dictConfig(LOGGING_CONFIG)
    text = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    setup_logging(handler=logging.StreamHandler(text))
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 5, extra={"color_message": "\x1b[36m5\x1b[0m"})
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/a", "1.1", 200)
    root.handlers[:], level = before
    root.setLevel(level)
    started, asked = (json.loads(line) for line in text.getvalue().splitlines())
    assert (started["message"], started["target"], "color_message" in started) == ("Started server process [5]", "uvicorn.error", False)
    assert asked["message"] == '127.0.0.1:1 - "GET /a HTTP/1.1" 200'


def test_exceptions_stay_on_their_line(lines) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.exception("failed")
    assert len(lines.getvalue().splitlines()) == 1
    assert "ValueError: two" in json.loads(lines.getvalue())["exception"]
