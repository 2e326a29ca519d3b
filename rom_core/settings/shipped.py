"""defaults.toml: what the package itself says of settings, wherever it is installed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rom_core.settings.values import freeze

SHIPPED_FILE = "defaults.toml"


def _read() -> Mapping[str, Mapping[str, Any]]:
    content = tomllib.loads((Path(__file__).parent / SHIPPED_FILE).read_text(encoding="utf-8"))
    return MappingProxyType({section: freeze(values) for section, values in content.items()})


SHIPPED = _read()
"""Values by name, by section: `default` holds the defaults of settings that the core declares."""


def shipped_layer(environment: str) -> tuple[str, Mapping[str, Any]]:
    """The name of the layer, as `Settings.source` gives it, and what it says for `environment`."""
    return f"{SHIPPED_FILE} [{environment}]", SHIPPED.get(environment, MappingProxyType({}))
