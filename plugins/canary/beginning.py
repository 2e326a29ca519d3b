"""What a rollout is to begin with: flags that fit it, and that a second person has seen where that is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.canary.phases import phases_of, thresholds_of
from plugins.canary.rollout import Plan
from rom_core.errors import CanaryConflict, InvalidRequest
from rom_core.flags.approval import sensitive_flags
from rom_core.flags.canary import CanaryBlock
from rom_core.gate import GateBroken, prove
from rom_core.plugin.snapshot import Canary
from rom_core.settings import InvalidSettings, Problem, Settings
from rom_core.store.overrides import CANARY

METRICS_SWITCH = "METRICS_ENABLED"


def metrics_enabled(settings: Settings) -> bool:
    """Whether metrics, which the gate judges by, are on: the switch belongs to a plugin that need not be installed."""
    return bool(getattr(settings, METRICS_SWITCH, False))


def plan_of(block: Mapping[str, Any], settings: Settings) -> Plan:
    """The plan for this block, with the phases and limits of `settings`.

    Raises CanaryConflict if metrics are off, InvalidSettings with every problem of the block, InvalidRequest if the
    limits are such that the gate proves nothing.
    """
    if not metrics_enabled(settings):
        raise CanaryConflict(f"metrics are off: the gate needs {METRICS_SWITCH}")
    parsed = CanaryBlock.parse(block, settings.declared)
    if not parsed.flags:
        raise InvalidSettings([Problem(CANARY, "a rollout needs flags")])
    if METRICS_SWITCH in parsed.flags:
        raise InvalidSettings([Problem(f"{CANARY}.{METRICS_SWITCH}", "its gate could not see what it does")])
    try:
        plan = Plan(
            parsed.as_dict(),
            phases_of(settings.CANARY_PHASES),
            thresholds_of(settings),
            settings.CANARY_INTERVAL_SECONDS,
        )
        prove(plan.thresholds)
    except (ValueError, GateBroken) as error:
        raise InvalidRequest(str(error)) from None
    return plan


def needs_second_person(plan: Plan, settings: Settings, canary: Canary | None) -> bool:
    """Whether a flag of `plan` is sensitive and nobody but its author has seen it.

    `canary` is the one in force. One that says the same to nobody has been approved. Raises CanaryConflict for another.
    """
    sensitive = sensitive_flags(plan.block["flags"], settings)
    if canary is None:
        return bool(sensitive)
    if not sensitive or canary.percent or canary.as_dict() != block_to_approve(plan):
        raise CanaryConflict("a canary set by hand is in force; `rom flags clear canary` ends it")
    return False


def block_to_approve(plan: Plan) -> dict[str, Any]:
    """The block to have approved: its flags, for a share of nothing, and for no key."""
    return {**plan.block, "include": []}
