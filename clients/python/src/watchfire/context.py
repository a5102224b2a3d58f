"""The ids of the request that is worked on: one that no other request has, and one for all that belongs together."""

from __future__ import annotations

import string
import uuid
from contextvars import ContextVar

REQUEST_ID = "x-request-id"
CORRELATION_ID = "x-correlation-id"
#: The longest id that is taken from outside.
ID_LENGTH_MAX = 128
_SANE = frozenset(string.ascii_letters + string.digits + "-_.:")

request_id: ContextVar[str | None] = ContextVar("watchfire_request_id", default=None)
correlation_id: ContextVar[str | None] = ContextVar("watchfire_correlation_id", default=None)


def new_id() -> str:
    """An id that nobody else has."""
    return uuid.uuid4().hex


def sane_id(text: str | None) -> str | None:
    """An id from outside if it may stand in log lines and headers: letters, digits and ``-_.:``."""
    if text and len(text) <= ID_LENGTH_MAX and _SANE.issuperset(text):
        return text
    return None
