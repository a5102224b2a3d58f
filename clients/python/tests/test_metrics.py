"""The metrics service against a server that keeps what it is told."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from watchfire.metrics import _COCO, MetricsService, get_metrics_service, sanitize_object_class
from watchfire.reporter import OBSERVATIONS_MAX, SERIES_MAX, Dropped, Reporter


def service(url: str) -> MetricsService:
    return MetricsService(Reporter(url=url, interval=3_600))


def test_met_06_there_is_one_service() -> None:
    assert get_metrics_service() is get_metrics_service()


def test_met_07_met_08_and_met_09_the_operations_of_pipelines(server) -> None:
    told = server()
    metrics = service(told.url)
    metrics.record_event_created()
    for name in (" Person", "person", "unicorn", ""):
        metrics.record_detection_by_class(name)
    metrics.observe_stage_duration("detect", 0.245)
    metrics.set("hsi_detection_queue_depth", 4)
    metrics.set("hsi_detection_queue_depth", 5)
    assert metrics.flush()
    path, _, items = told.requests[0]
    found = {(item["name"], *item["labels"].values()): item["value"] for item in items}
    assert path == "/api/metrics/record"
    assert found == {
        ("hsi_events_created_total",): 1.0,
        ("hsi_detections_by_class_total", "person"): 2.0,
        ("hsi_detections_by_class_total", "other"): 1.0,
        ("hsi_detections_by_class_total", "unknown"): 1.0,
        ("hsi_stage_duration_seconds", "detect"): 0.245,
        ("hsi_detection_queue_depth",): 5.0,
    }


def test_what_did_not_arrive_is_sent_again_and_what_may_have_is_not(server) -> None:
    told = server((503, {}), (200, {}), (500, {}), (422, {"refused": 1}))
    metrics = service(told.url)
    metrics.record_event_created()
    assert not metrics.flush()
    metrics.record_event_created()
    assert metrics.flush() and told.requests[1][2][0]["value"] == 2.0
    metrics.record_event_created()
    assert metrics.flush() and metrics.dropped() == Dropped(unanswered=1)
    metrics.record_event_created()
    assert metrics.flush() and metrics.dropped() == Dropped(unanswered=1, refused=1)


def test_memory_is_bounded_while_the_server_is_away() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        metrics = service(f"http://127.0.0.1:{taken.getsockname()[1]}")
        for at in range(SERIES_MAX + 7):
            metrics.increment("c_total", {"n": str(at)})
        for _ in range(OBSERVATIONS_MAX + 5):
            metrics.observe("h", None, 1.0)
        assert not metrics.flush()
        assert metrics.dropped() == Dropped(full=12)


def test_classes_are_those_of_the_rust_sdk() -> None:
    source = Path(__file__).parents[3] / "crates/watchfire-sdk/src/metrics/coco.rs"
    if not source.exists():
        pytest.skip("the Rust SDK is not beside this package")
    theirs = re.findall(r'"([a-z ]+)"', source.read_text().split("];")[0])
    assert _COCO == set(theirs)
    assert sanitize_object_class("Dog") == "dog"
