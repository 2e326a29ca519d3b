"""Content encrypted at rest, and keys that come and go."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from rom_core.settings.keys import InvalidKeys, content_keys
from rom_core.store.sealing import MARK_BYTES, KeyMissing, Sealer

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_without_keys_content_is_kept_as_it_is() -> None:
    """A byte before it says so."""
    assert Sealer().seal(b"text") == b"\x00text"
    assert Sealer([NEW]).open(Sealer().seal(b"text")) == b"text"


def test_with_a_key_nothing_of_the_content_can_be_read() -> None:
    """And the same content looks different each time."""
    sealer = Sealer([NEW])
    one, two = sealer.seal(b"a secret"), sealer.seal(b"a secret")
    assert b"secret" not in one
    assert one != two
    assert sealer.open(one) == sealer.open(two) == b"a secret"


def test_a_new_key_in_front_seals_and_the_old_one_still_opens() -> None:
    """Rotation: nothing has to be written anew at once."""
    kept = Sealer([OLD]).seal(b"text")
    rotated = Sealer([NEW, OLD])
    assert rotated.open(kept) == b"text"
    assert not rotated.is_current(kept[:MARK_BYTES])
    assert rotated.is_current(rotated.seal(b"text")[:MARK_BYTES])


def test_what_no_key_opens_is_known_by_its_mark() -> None:
    """Without opening it."""
    kept = Sealer([OLD]).seal(b"text")
    assert Sealer([OLD]).opens(kept[:MARK_BYTES])
    assert not Sealer([NEW]).opens(kept[:MARK_BYTES])
    with pytest.raises(KeyMissing):
        Sealer([NEW]).open(kept)
    with pytest.raises(KeyMissing):
        Sealer().open(kept)


def test_what_was_changed_is_not_opened() -> None:
    """One byte is enough."""
    kept = bytearray(Sealer([OLD]).seal(b"text"))
    kept[-1] ^= 1
    with pytest.raises(KeyMissing):
        Sealer([OLD]).open(bytes(kept))


def test_a_key_that_is_none_is_named_by_its_place_and_not_shown() -> None:
    """In the order of CONTENT_KEY."""
    assert content_keys("") == []
    assert content_keys(f" {OLD} ,,{NEW}") == [OLD, NEW]
    for wrong in ("short", OLD[:-4], f"{OLD}é"):
        with pytest.raises(InvalidKeys, match="key 2 is not 32 bytes") as raised:
            content_keys(f"{OLD},{wrong}")
        assert wrong not in str(raised.value)
