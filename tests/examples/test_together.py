"""Two of the examples in one server: what they mean for each other, as their pages say."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from local_bedrock import LocalBedrock, reply
from rom_core.testing import MakeApp

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "a key of the tests"


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The modules rom_masking and rom_call_cache."""
    for name in ("masking", "call-cache"):
        monkeypatch.syspath_prepend(str(EXAMPLES / name / "src"))
    return importlib.import_module("rom_masking"), importlib.import_module("rom_call_cache")


def test_the_cache_keeps_masks_and_every_reader_gets_the_own_spelling(
    both: tuple[Any, Any], rom_app: MakeApp, bedrock_local: LocalBedrock
) -> None:
    """The same number written in another way is the same request; another number is another one."""
    masking, call_cache = both
    mask = importlib.import_module("rom_masking.masks").Masks(KEY.encode()).hide("529.982.247-25")
    bedrock_local.script(reply(f"{mask} é válido."), reply("Outro."))
    plugin = call_cache.CallCache()
    app = rom_app(
        plugins={"masking": masking.Masking(), "call_cache": plugin},
        MASKING_ENABLED=True,
        CALL_CACHE_ENABLED=True,
        MASKING_KEY=KEY,
    )
    for written in ("529.982.247-25", "52998224725"):
        assert app.chat(f"Veja {written}")["reply"] == f"{written} é válido."
        assert app.stream(f"Veja {written}")[-1][1]["reply"] == f"{written} é válido."
    assert len(bedrock_local.requests) == 1
    assert app.chat("Veja 390.533.447-05")["reply"] == "Outro."
    kept = json.dumps([each[0].content for each in plugin._cache._kept.values()])
    assert "529.982.247-25" not in kept
