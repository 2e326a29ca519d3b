"""The rows of MODELS that are shipped: the owner's models first, and what each accepts as the local Bedrock has it."""

from __future__ import annotations

import pytest
from support import NOWHERE

from local_bedrock.models import ModelInfo, Refusal, resolve_model
from rom_core.settings import CORE_SETTINGS, Model, Settings, load_settings


def shipped() -> Settings:
    """The settings as they are without any file of the operator's."""
    return load_settings(CORE_SETTINGS, root=NOWHERE, environ={"ROM_ENV": "testing"})


ROWS = dict(shipped().models)


def kind(thinking: tuple[str, ...]) -> str:
    """The word of a row for the types of thinking that a model takes."""
    if "adaptive" not in thinking:
        return "budget"
    return "adaptive" if "disabled" in thinking else "always"


def test_the_owner_chose_the_primary_and_the_fallbacks() -> None:
    """Newer models are there to be chosen; none is by itself."""
    settings = shipped()
    assert settings.MODEL_PRIMARY == "anthropic.claude-sonnet-4-5"
    assert list(settings.MODEL_FALLBACKS) == ["anthropic.claude-sonnet-3-7", "anthropic.claude-haiku-4-5"]
    assert {f"anthropic.claude-{name}" for name in ("sonnet-4-6", "sonnet-5-5", "haiku-5-5", "opus-5-5")} <= set(ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if not row.end_of_life], ids=lambda row: row.alias)
def test_a_row_says_what_the_local_bedrock_takes(row: Model) -> None:
    """Neither more, which would be refused, nor less, which would be lost."""
    model = resolve_model(row.id)
    assert isinstance(model, ModelInfo)
    assert (row.max_tokens, row.context_tokens) == (model.max_tokens, model.context_tokens)
    assert row.prompt_caching == (model.cache_minimum is not None)
    assert row.cache_min_tokens == model.cache_minimum
    assert (row.sampling, row.forced_tool_choice) == (model.sampling, model.forced_tool_choice)
    assert (row.prefill, row.structured_output) == (model.prefill, model.structured_output)
    assert (row.documents, row.images) == (model.documents, model.images)
    assert row.thinking == kind(model.thinking or ())
    assert row.thinking_between_tools == ("between_tools" in (model.thinking or ()))
    assert (row.thinking in ("adaptive", "always")) == model.effort


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.end_of_life], ids=lambda row: row.alias)
def test_a_model_past_its_end_of_life_is_marked(row: Model) -> None:
    """The local Bedrock does not serve it either."""
    assert isinstance(resolve_model(row.id), Refusal)


def test_prices_are_there_for_every_row() -> None:
    """Reading from the cache is cheaper than input, writing dearer, and an hour dearer than five minutes."""
    for row in ROWS.values():
        assert 0 < row.price_cache_read < row.price_input < row.price_cache_write < row.price_output
        assert row.end_of_life or row.price_cache_write < row.price_cache_write_1h < row.price_output
