"""Settings that `rom doctor` looks at, and what it finds in short."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from support import make_settings

from plugins.fallback import Fallback
from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import Settings

SONNET = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
ENDED = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
ARN = "arn:aws:bedrock:sa-east-1"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def settings_for(
    model_id: str = SONNET, *, end_of_life: bool = False, fallback: bool | None = None, **values: Any
) -> Settings:
    """Settings whose chain is one model, followed by a living one if `fallback`; if that is False it stands by."""
    model = {"max_tokens": 10, "prompt_caching": True, "price_input": 1.0, "price_output": 1.0}
    models = [
        model | {"alias": "first", "id": model_id, "end_of_life": end_of_life},
        model | {"alias": "second", "id": "x.y"},
    ]
    catalogue = Catalogue.of(hookspecs, fallback=Fallback())
    values = {
        "MODELS": models,
        "MODEL_PRIMARY": "first",
        "MODEL_FALLBACKS": [] if fallback is None else ["second"],
        "FALLBACK_ENABLED": bool(fallback),
        **values,
    }
    return make_settings(catalogue, **values)


def found(findings: Any) -> list[tuple[str, str]]:
    """What about, and how bad."""
    return [(finding.about, finding.status) for finding in findings]
