"""What a client may read of a refusal's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.bedrock.reasons import readable_reason


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("messages.1.content.0: text must be non-empty", "messages.1.content.0: text must be non-empty"),
        ("Value 'João' at 'messages.0.content' failed", "Value … at 'messages.0.content' failed"),
        ("The model returned the following errors: `max_tokens` is too large", "`max_tokens` is too large"),
        ("not for arn:aws:bedrock:us-west-2:123456789012:x", "not for …"),
        ("account 123456789012 may not", "account … may not"),
        ("model us.anthropic.claude-x-v1:0 does not take it", "model … does not take it"),
        ('{"message": "everything that was said"}', ""),
        ("a\nb\tc", "a b c"),
    ],
)
def test_the_rule_is_kept_and_what_is_quoted_is_not(message: str, shown: str) -> None:
    """Names of members of a request stay, values, accounts and model ids go."""
    assert readable_reason(message) == shown


@given(st.text(max_size=2000), st.text(alphabet=st.characters(exclude_characters="'"), min_size=1))
def test_no_quoted_value_comes_through(before: str, value: str) -> None:
    """Whatever stands around it: one short line without the value."""
    secret = f"zz{value}zz"
    shown = readable_reason(f"{before.replace(chr(39), ' ')} Value '{secret}' is wrong")
    assert len(shown) <= 300
    assert "\n" not in shown
    assert f"'{secret}'" not in shown
