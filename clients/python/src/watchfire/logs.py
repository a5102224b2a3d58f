"""Log lines of the module ``logging`` as one JSON object each, with the ids of trace, span and request."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

from opentelemetry import trace

from watchfire.context import correlation_id, request_id

#: What every record has; anything else was added by who logged. The last is uvicorn's message once more, in colours.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
#: Loggers of a server that is started before the application and brings its own handlers.
_SERVER = ("uvicorn", "uvicorn.access", "uvicorn.error")


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. Ids win over fields of the same name."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "timestamp": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "message": record.getMessage(),
            "target": record.name,
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = format(span.trace_id, "032x")
            line["span_id"] = format(span.span_id, "016x")
        for name, variable in (("request_id", request_id), ("correlation_id", correlation_id)):
            found = variable.get()
            if found is not None:
                line[name] = found
        for name, value in vars(record).items():
            if name not in _USUAL and value is not None:
                line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def setup_logging(level: int | str = logging.INFO, handler: logging.Handler | None = None) -> logging.Handler:
    """Makes lines of JSON what the whole program logs, to standard error unless a handler is given."""
    handler = logging.StreamHandler() if handler is None else handler
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _SERVER:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
    return handler
