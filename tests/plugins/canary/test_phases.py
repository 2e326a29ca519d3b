"""Phases and limits as the settings give them."""

from __future__ import annotations

import pytest
from canary_support import PLAN
from support import make_settings

from plugins.canary import CanaryPlugin
from plugins.canary.phases import Phase, check_settings, phases_of, thresholds_of
from rom_core import hookspecs
from rom_core.gate import Thresholds
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings


def test_phases_are_read_strictly() -> None:
    """Shares grow, windows have a length; the default is the one of the plan."""
    declared = make_settings(Catalogue.of(hookspecs, canary=CanaryPlugin()))
    assert phases_of(declared.CANARY_PHASES) == PLAN.phases
    assert phases_of(["5:30s"]) == (Phase(5, 30.0),)
    for wrong in ([], ["10%"], ["0%:1h"], ["50%:1h", "10%:1h"], ["101%:1h"], ["10%:0s"], ["10%:1w"]):
        with pytest.raises(ValueError, match=r"phase|share|window"):
            phases_of(wrong)
    assert check_settings(declared) is None
    with pytest.raises(InvalidSettings):
        make_settings(Catalogue.of(hookspecs, canary=CanaryPlugin()), CANARY_PHASES=["10%"])


def test_every_limit_of_the_gate_is_a_setting() -> None:
    """With the gate's own defaults, and nothing fixed behind them."""
    catalogue = Catalogue.of(hookspecs, canary=CanaryPlugin())
    assert thresholds_of(make_settings(catalogue)) == Thresholds()
    changed = make_settings(
        catalogue,
        CANARY_MAX_ERROR_RATIO=0.02,
        CANARY_MAX_P95_SECONDS=45.0,
        CANARY_MAX_MEMORY_RATIO=0.8,
        CANARY_MAX_THROTTLED_RATIO=0.2,
        CANARY_MAX_REFUSED_RATIO=0.3,
        CANARY_MAX_RESTARTS=2,
    )
    assert thresholds_of(changed) == Thresholds(
        error_share=0.02, p95_seconds=45.0, memory_ratio=0.8, throttled_share=0.2, refused_share=0.3, restarts=2
    )
