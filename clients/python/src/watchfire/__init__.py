"""What a Python program imports to report to Watchfire, or to any collector that takes OpenTelemetry.

The names are those that backends with ``backend.core.telemetry``, ``backend.core.metrics`` and
``backend.services.token_counter`` call already, so that they move by changing imports. Nothing here makes
the program wait but the token counter, which answers questions.
"""

from watchfire.logs import setup_logging
from watchfire.metrics import MetricsService, get_metrics_service
from watchfire.telemetry import get_trace_id, setup_telemetry, shutdown_telemetry, trace_function, trace_span
from watchfire.token_counter import TokenCounter, get_token_counter

__all__ = [
    "MetricsService",
    "TokenCounter",
    "get_metrics_service",
    "get_token_counter",
    "get_trace_id",
    "setup_logging",
    "setup_telemetry",
    "shutdown_telemetry",
    "trace_function",
    "trace_span",
]
