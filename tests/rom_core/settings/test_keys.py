"""Named keys: every way to write them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.settings import InvalidKeys, parse_api_keys


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


def test_minimum_length_is_per_key() -> None:
    """The name does not count as length."""
    assert parse_api_keys("ana=" + "k" * 16, minimum=16)
    with pytest.raises(InvalidKeys, match="entry 1: the key is shorter than 16"):
        parse_api_keys("ana-beatriz-oliveira=" + "k" * 15, minimum=16)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,20}", fullmatch=True),
        st.from_regex(r"[!-+\--<>-~]{1,40}", fullmatch=True),
        max_size=5,
    ).filter(lambda keys: len(set(keys.values())) == len(keys))
)
def test_pairs_come_back(keys: dict[str, str]) -> None:
    """Any names and keys, joined as pairs, are read as they were."""
    assert dict(parse_api_keys(",".join(f"{name}={key}" for name, key in keys.items()))) == keys
