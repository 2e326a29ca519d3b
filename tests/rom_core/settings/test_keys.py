"""Named keys: every way to write them, and what is refused."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_settings

from plugins.canary.rollout import GATE
from rom_core.settings import InvalidKeys, InvalidSettings, parse_api_keys
from rom_core.settings.keys import OWN_NAMES, wrapping_of
from rom_core.store.base import SYSTEM


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  ", {}),
        ("k1", {"default": "k1"}),
        ("k1,k2", {"key-1": "k1", "key-2": "k2"}),
        (" ana = k1 ", None),
        ("ana=k1, bia=k2", {"ana": "k1", "bia": "k2"}),
        ("ana=k1,k2", {"ana": "k1", "key-2": "k2"}),
        ("ana=YWJj==", {"ana": "YWJj=="}),
        ("ana=a=b", {"ana": "a=b"}),
        ("aB3+" * 10 + "/x_=", {"default": "aB3+" * 10 + "/x_="}),
        ("aB3d" * 10 + "aB3=,ana=k1", {"key-1": "aB3d" * 10 + "aB3=", "ana": "k1"}),
    ],
)
def test_one_key_several_or_pairs(text: str, expected: dict[str, str] | None) -> None:
    """One key, several with commas, and name=key pairs give names to keys; None here means refused."""
    if expected is None:
        with pytest.raises(InvalidKeys):
            parse_api_keys(text)
    else:
        assert dict(parse_api_keys(text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hush,", "entry 2 is empty"),
        ("hush,,hush2", "entry 2 is empty"),
        ("ana=", "entry 1 ends with '='"),
        ("aHVzaA==", "entry 1 ends with '='"),
        ("=hush", "a name is letters"),
        ("a b=hush", "a name is letters"),
        ("ana=hush,ana=hush2", "entry 2: the name is taken"),
        ("ana=hush,Ana=hush2", "entry 2: the name is taken"),
        ("ana=hush,bia=hush", "entry 2: the same key"),
        ("hush,key-1=hush2", "entry 2: the name is taken"),
        ("hu sh", "printable ASCII"),
        ("hushé", "printable ASCII"),
        ("hush\x07", "printable ASCII"),
    ],
)
def test_unclear_keys_are_refused(text: str, reason: str) -> None:
    """What could be read in two ways, or could not stand in a header, is refused without showing it."""
    with pytest.raises(InvalidKeys, match=reason) as caught:
        parse_api_keys(text)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("0123456789abcdef" + "fedcba987654321", "shorter than 32"),
        ("k" * 64, "repeats itself"),
        ("0123456" * 5, "repeats itself"),
        ("0123456789abcdef" * 2, "repeats itself"),
        ("change-me-" * 4, "repeats itself"),
        ("ab" * 15 + "cdefg", "repeats itself"),
    ],
)
def test_keys_that_could_be_guessed_are_refused(key: str, reason: str) -> None:
    """Where they count: too short, or made of too little. The name does not count as length."""
    assert parse_api_keys(f"ana-beatriz-oliveira={key}")
    with pytest.raises(InvalidKeys, match=f"entry 1: the key.*{reason}") as caught:
        parse_api_keys(f"ana-beatriz-oliveira={key}", strong=True)
    assert key not in str(caught.value)


def test_what_is_drawn_at_random_is_strong() -> None:
    """In hexadecimal, base64 and letters, at the least length that is allowed."""
    for _ in range(500):
        for key in (secrets.token_hex(16), secrets.token_urlsafe(24), secrets.token_hex(32)):
            assert parse_api_keys(f"ana={key}", strong=True)


@pytest.mark.parametrize(
    ("text", "wrapping"),
    [
        ('"key"', "quotes"),
        ("'key'", "quotes"),
        ("`key`", "quotes"),
        ("key\n", "white space"),
        (" key", "white space"),
        ("\tkey", "white space"),
        ("Bearer key", "Bearer"),
        ("bearer key", "Bearer"),
        ("key", None),
        ("ke'y", None),
        ("'", None),
        ("", None),
    ],
)
def test_what_a_secret_is_wrapped_in(text: str, wrapping: str | None) -> None:
    """Quotes, white space, the name of the scheme: none is part of a secret; within one, anything may stand."""
    found = wrapping_of(text)
    assert (found is None) is (wrapping is None)
    assert wrapping is None or wrapping in (found or "")


def test_a_key_in_quotes_among_others_is_refused() -> None:
    """Also where the quotes stand around one of several."""
    with pytest.raises(InvalidKeys, match="entry 2: the key has quotes"):
        parse_api_keys("ana=hush,bia='hush2'")


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,20}", fullmatch=True),
        st.from_regex(r"[!-+\--<>-~]{1,40}", fullmatch=True),
        max_size=5,
    ).filter(
        lambda keys: (
            len(set(keys.values())) == len({name.lower() for name in keys}) == len(keys)
            and not any(map(wrapping_of, keys.values()))
        )
    )
)
def test_pairs_come_back(keys: dict[str, str]) -> None:
    """Any names and keys, joined as pairs, are read as they were."""
    assert dict(parse_api_keys(",".join(f"{name}={key}" for name, key in keys.items()))) == keys


@pytest.mark.parametrize("name", ["rom", "gate", "Gate"])
def test_no_person_is_called_as_the_process_is(name: str) -> None:
    """In the history and the trail `gate` and `rom` are what decides by itself; a token may not pass for that."""
    with pytest.raises(InvalidSettings, match="what the process itself is called"):
        make_settings(ADMIN_TOKEN=f"{name}=t1,ana=t2")
    assert {name.lower()} <= OWN_NAMES == {SYSTEM, GATE}
    assert make_settings(ADMIN_TOKEN="ana=t1,gates=t2")
