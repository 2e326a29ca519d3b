"""Which models the checks are about."""

from __future__ import annotations

from dataclasses import replace

from rom_core.ops.doctor.findings import FAIL, WARN, Finding
from rom_core.settings import Model, Settings


def chain(settings: Settings) -> list[Model]:
    """The models a turn may go to, in order, each once."""
    fallbacks = settings.MODEL_FALLBACKS if _falls_back(settings) else ()
    return [settings.models[alias] for alias in (settings.MODEL_PRIMARY, *fallbacks) if alias in settings.models]


def unused_fallbacks(settings: Settings) -> list[Model]:
    """The models that FALLBACK_ENABLED would add to the chain, while it is off."""
    aliases = () if _falls_back(settings) else settings.MODEL_FALLBACKS
    used = chain(settings)
    return [
        settings.models[alias] for alias in aliases if alias in settings.models and settings.models[alias] not in used
    ]


def not_in_use(finding: Finding) -> Finding:
    """The finding about a model that is not in use: nothing fails by it, yet."""
    status = WARN if finding.status == FAIL else finding.status
    return replace(finding, status=status, text=f"{finding.text} (not in use while FALLBACK_ENABLED is off)")


def _falls_back(settings: Settings) -> bool:
    return bool(getattr(settings, "FALLBACK_ENABLED", False))
