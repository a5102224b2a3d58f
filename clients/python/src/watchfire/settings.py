"""What the environment says about tracing. It reads variables and starts nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

GRPC = "grpc"
HTTP = "http/protobuf"
_ENDPOINTS = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class SettingsError(ValueError):
    """A variable that means nothing."""

    def __init__(self, variable: str, value: str, wanted: str) -> None:
        super().__init__(f"cannot use {variable}={value!r}: it must be {wanted}")


@dataclass(frozen=True)
class TraceSettings:
    """Whether, how and what is traced."""

    enabled: bool = False
    service_name: str = "nemotron-backend"
    endpoint: str = _ENDPOINTS[GRPC]
    protocol: str = GRPC
    insecure: bool | None = None
    sample_rate: float = 1.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> TraceSettings:
        """The settings of the process, or of any mapping. A variable without a value is as good as none."""
        source = os.environ if environment is None else environment

        def get(name: str) -> str | None:
            return source.get(name, "").strip() or None

        protocol = (get("OTEL_EXPORTER_OTLP_PROTOCOL") or GRPC).lower()
        if protocol not in _ENDPOINTS:
            raise SettingsError("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, f"{GRPC} or {HTTP}")
        return cls(
            enabled=_flag("OTEL_ENABLED", get("OTEL_ENABLED")) or False,
            service_name=get("OTEL_SERVICE_NAME") or cls.service_name,
            endpoint=get("OTEL_EXPORTER_OTLP_ENDPOINT") or _ENDPOINTS[protocol],
            protocol=protocol,
            insecure=_flag("OTEL_EXPORTER_OTLP_INSECURE", get("OTEL_EXPORTER_OTLP_INSECURE")),
            sample_rate=_share("OTEL_TRACE_SAMPLE_RATE", get("OTEL_TRACE_SAMPLE_RATE")),
        )

    @property
    def url(self) -> str:
        """The endpoint with the scheme that ``insecure`` asks for, and with the path that HTTP needs."""
        scheme, _, rest = self.endpoint.rpartition("://")
        scheme = (scheme or "http") if self.insecure is None else ("http" if self.insecure else "https")
        rest = rest.rstrip("/")
        return f"{scheme}://{rest.removesuffix('/v1/traces')}/v1/traces" if self.protocol == HTTP else f"{scheme}://{rest}"


def _flag(variable: str, value: str | None) -> bool | None:
    if value is None:
        return None
    if value.lower() not in _WORDS:
        raise SettingsError(variable, value, "true or false")
    return _WORDS[value.lower()]


def _share(variable: str, value: str | None) -> float:
    try:
        rate = 1.0 if value is None else float(value)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise SettingsError(variable, str(value), "a number from 0.0 to 1.0")
    return rate
