"""The plugin's settings: its own, and the standard variables that say where telemetry goes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from rom_core.settings import Rule, Setting
from rom_core.settings.addresses import address_problem

SWITCH = "TELEMETRY_ENABLED"
OLD_NAMES = "TELEMETRY_OLD_METRIC_NAMES"
PLAIN_HTTP = "TELEMETRY_PLAIN_HTTP"
ENDPOINT, HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
TRACES_ENDPOINT, METRICS_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
SERVICE_NAME = "OTEL_SERVICE_NAME"
DEFAULT_ENDPOINT = "http://localhost:4318"
EXPORTER_SETTINGS = frozenset((ENDPOINT, HEADERS, TRACES_ENDPOINT, METRICS_ENDPOINT, SERVICE_NAME, PLAIN_HTTP))
"""Those that an exporter is made of: a change of one makes another exporter."""
_LIBRARIES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def declared() -> list[Setting | Rule]:
    """All of them, with their rules."""
    return [
        Setting(
            SWITCH, bool, False, "Send traces and gen_ai.* metrics by OpenTelemetry (OTLP over HTTP).", switch=True
        ),
        Setting(
            OLD_NAMES,
            bool,
            False,
            "Send the gen_ai.* metrics also under the names that they had before v0.1.0 of the conventions.",
            scope="process",
        ),
        Setting(
            PLAIN_HTTP,
            bool,
            False,
            "Let telemetry go to another machine over plain http, as to a collector in a private network.",
            scope="process",
            sensitive=True,
        ),
        _address(ENDPOINT, DEFAULT_ENDPOINT, "Where telemetry is sent: /v1/traces and /v1/metrics are added to it."),
        _address(
            TRACES_ENDPOINT, "", "Where traces alone are sent, the whole URL; empty: as OTEL_EXPORTER_OTLP_ENDPOINT."
        ),
        _address(
            METRICS_ENDPOINT, "", "Where metrics alone are sent, the whole URL; empty: as OTEL_EXPORTER_OTLP_ENDPOINT."
        ),
        Setting(
            HEADERS,
            str,
            "",
            "Headers that go with telemetry, as `api-key=…,other=…`; values URL-encoded.",
            secret=True,
            scope="process",
        ),
        Setting(SERVICE_NAME, str, "rom-agent", "The service.name of all telemetry.", scope="process"),
        Rule((SWITCH,), _libraries_are_installed),
        *(
            Rule((name, SWITCH, PLAIN_HTTP), _address_rule(name))
            for name in (ENDPOINT, TRACES_ENDPOINT, METRICS_ENDPOINT)
        ),
    ]


def endpoints(settings: Any) -> tuple[str, str]:
    """The URLs for traces and for metrics."""
    base = (getattr(settings, ENDPOINT) or DEFAULT_ENDPOINT).rstrip("/")
    traces = getattr(settings, TRACES_ENDPOINT) or f"{base}/v1/traces"
    return traces, getattr(settings, METRICS_ENDPOINT) or f"{base}/v1/metrics"


def _address(name: str, default: str, text: str) -> Setting:
    return Setting(name, str, default, text, scope="process", sensitive=True)


def _libraries_are_installed(settings: Any) -> str | None:
    if not getattr(settings, SWITCH) or all(map(_installed, _LIBRARIES)):
        return None
    return "OpenTelemetry is not installed: pip install 'rom-agent[otel]'"


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _address_rule(name: str) -> Callable[[Any], str | None]:
    def check(settings: Any) -> str | None:
        address = getattr(settings, name)
        # What is off sends nothing, and the variable may be meant for another program.
        if not address or not getattr(settings, SWITCH):
            return None
        problem = address_problem(address)
        if problem is not None and address.startswith("http://") and "https://:" in problem:
            return None if getattr(settings, PLAIN_HTTP) else f"{problem}; {PLAIN_HTTP} allows it"
        return problem

    return check
