"""Carries observations to ``POST /api/metrics/record``: a bounded buffer, and a thread that sends it about once a second.

Counters are added up and gauges replaced before they are sent. What may have arrived is never sent twice.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

SERIES_MAX = 2_000
OBSERVATIONS_MAX = 10_000
MESSAGE_MAX = 5_000
#: The most of an answer that is read: a shortened prompt is the longest.
ANSWER_BYTES_MAX = 8 << 20
TIMEOUT_SECONDS = 5.0

Labels = tuple[tuple[str, str], ...]


@dataclass
class Dropped:
    """Observations that never arrived, by reason."""

    full: int = 0
    refused: int = 0
    unanswered: int = 0


class Later(Exception):
    """Nothing was recorded; it may be sent again."""


def address(path: str, url: str | None = None) -> str:
    """A path at the server, which ``WATCHFIRE_URL`` names unless an address is given."""
    return (url or os.environ.get("WATCHFIRE_URL") or "http://127.0.0.1:8000").rstrip("/") + path


def ask(url: str, body: object | None, token: str | None = None, timeout: float = TIMEOUT_SECONDS) -> tuple[int, bytes]:
    """One request with JSON. Statuses are no errors here; raises :class:`Later` when it surely did not arrive."""
    headers = {"content-type": "application/json"}
    token = token or os.environ.get("WATCHFIRE_TOKEN")
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read(ANSWER_BYTES_MAX)
    except urllib.error.URLError as error:
        if isinstance(error.reason, (ConnectionRefusedError,)):
            raise Later(str(error)) from error
        raise


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token is for one host."""

    def redirect_request(self, *_: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


class Reporter:
    """Sends observations in the background."""

    def __init__(self, url: str | None = None, token: str | None = None, interval: float = 1.0) -> None:
        self._url = address("/api/metrics/record", url)
        self._token = token
        self._interval = interval
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._levels: dict[tuple[str, Labels], tuple[bool, float]] = {}
        self._observations: list[tuple[str, Labels, float]] = []
        self._dropped = Dropped()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchfire", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Adds to a counter."""
        self._level(name, labels, True, value)

    def set(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Sets a gauge."""
        self._level(name, labels, False, value)

    def observe(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Observes a value of a histogram."""
        with self._lock:
            if len(self._observations) < OBSERVATIONS_MAX:
                self._observations.append((name, _labels(labels), float(value)))
            else:
                self._dropped.full += 1

    def dropped(self) -> Dropped:
        """What was dropped so far."""
        with self._lock:
            return Dropped(**vars(self._dropped))

    def flush(self) -> bool:
        """Sends what there is now; returns whether nothing is left."""
        with self._sending:
            while message := self._take():
                try:
                    status, answer = ask(self._url, [_item(*item) for item in message], self._token)
                except Later:
                    return self._put_back(message)
                except (OSError, ValueError):
                    self._count(unanswered=len(message))
                    continue
                if status in (408, 429, 503):
                    return self._put_back(message)
                if status < 300 or status == 422:
                    self._count(refused=_refused(answer))
                elif status >= 500:
                    self._count(unanswered=len(message))
                else:
                    self._count(refused=len(message))
        return True

    def close(self) -> None:
        """Sends what is left and ends the thread."""
        if not self._stop.is_set():
            self._stop.set()
            self.flush()
            atexit.unregister(self.close)

    def _run(self) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            # A server that is away is asked less and less often.
            pause = self._interval if self.flush() else min(pause * 2, max(self._interval, 30.0))

    def _level(self, name: str, labels: Mapping[str, str], counter: bool, value: float) -> None:
        key = (name, _labels(labels))
        with self._lock:
            held = self._levels.get(key)
            if held is None and len(self._levels) >= SERIES_MAX:
                self._dropped.full += 1
                return
            before = held[1] if held is not None and counter else 0.0
            self._levels[key] = (counter, before + float(value))

    def _take(self) -> list[tuple[str, Labels, str, float]]:
        with self._lock:
            keys = list(self._levels)[:MESSAGE_MAX]
            message = []
            for key in keys:
                counter, value = self._levels.pop(key)
                message.append((*key, "add" if counter else "set", value))
            room = MESSAGE_MAX - len(message)
            taken, self._observations = self._observations[:room], self._observations[room:]
            message += [(name, labels, "observe", value) for name, labels, value in taken]
            return message

    def _put_back(self, message: list[tuple[str, Labels, str, float]]) -> bool:
        for name, labels, kind, value in message:
            if kind == "add":
                self._level(name, dict(labels), True, value)
            elif kind == "set":
                with self._lock:
                    newer = (name, labels) in self._levels
                if not newer:
                    self._level(name, dict(labels), False, value)
            else:
                self.observe(name, dict(labels), value)
        return False

    def _count(self, refused: int = 0, unanswered: int = 0) -> None:
        with self._lock:
            self._dropped.refused += refused
            self._dropped.unanswered += unanswered


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted((name, str(value)) for name, value in labels.items() if value not in (None, "")))


def _item(name: str, labels: Labels, _kind: str, value: float) -> dict[str, object]:
    return {"name": name, "labels": dict(labels), "value": value}


def _refused(answer: bytes) -> int:
    try:
        return int(json.loads(answer).get("refused", 0))
    except (ValueError, AttributeError, TypeError):
        return 0
