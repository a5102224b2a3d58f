"""The metrics service: the operations that pipelines call, over the server's recording interface.

What a value may be is decided by the server's catalogs; only the class of an object is also cleaned here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from watchfire.reporter import Dropped, Reporter

#: The eighty classes of COCO.
COCO_CLASSES = (
    "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign parking_meter "
    "bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie suitcase frisbee skis "
    "snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup fork "
    "knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed "
    "dining_table toilet tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator book clock "
    "vase scissors teddy_bear hair_drier toothbrush"
)
_COCO = frozenset(name.replace("_", " ") for name in COCO_CLASSES.split())


def sanitize_object_class(object_class: str) -> str:
    """Lower case and trimmed when it is one of COCO's, ``unknown`` when it is empty, else ``other``."""
    cleaned = object_class.strip().lower()
    if cleaned in _COCO:
        return cleaned
    return "unknown" if cleaned in ("", "unknown") else "other"


class MetricsService:
    """Records metrics. Every operation returns at once; what could not be delivered is counted."""

    def __init__(self, reporter: Reporter | None = None) -> None:
        self._reporter = Reporter() if reporter is None else reporter

    def increment(self, name: str, labels: Mapping[str, str] | None = None, value: float = 1.0) -> None:
        """Adds to a counter of the catalogs."""
        self._reporter.add(name, labels or {}, value)

    def set(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Sets a gauge of the catalogs."""
        self._reporter.set(name, labels or {}, value)

    def observe(self, name: str, labels: Mapping[str, str] | None, value: float) -> None:
        """Observes a value of a histogram of the catalogs."""
        self._reporter.observe(name, labels or {}, value)

    def record_event_created(self) -> None:
        """A security event was written."""
        self.increment("hsi_events_created_total")

    def record_detection_by_class(self, object_class: str) -> None:
        """An object was detected; a class outside the COCO vocabulary counts as ``other``."""
        self.increment("hsi_detections_by_class_total", {"object_class": sanitize_object_class(object_class)})

    def observe_stage_duration(self, stage: str, duration_seconds: float) -> None:
        """A stage (``detect``, ``batch``, ``analyze``) took so long."""
        self.observe("hsi_stage_duration_seconds", {"stage": stage}, duration_seconds)

    def dropped(self) -> Dropped:
        """Observations that never arrived."""
        return self._reporter.dropped()

    def flush(self) -> bool:
        """Sends what there is now; returns whether nothing is left."""
        return self._reporter.flush()


_lock = threading.Lock()
_service: MetricsService | None = None


def get_metrics_service() -> MetricsService:
    """The one service of this process, made at the first call from ``WATCHFIRE_URL`` and ``WATCHFIRE_TOKEN``."""
    global _service
    with _lock:
        if _service is None:
            _service = MetricsService()
        return _service
