"""Room for bodies: all together have a bound, small ones find room beside files, and what is given back is free."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.concurrency.body_room import SMALL_BYTES, BodyRoom

LIMIT, RESERVED = 1_000_000, 200_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 1_500_000))), max_size=60))
def test_it_is_never_overfull_and_knows_what_it_holds(steps: list[tuple[int, int | None]]) -> None:
    """Whatever grows and is given back, in any order; large ones leave the reserve alone."""
    room = BodyRoom(LIMIT, RESERVED)
    shares, held = [room.share() for _ in range(6)], [0] * 6
    for who, size in steps:
        if size is None:
            shares[who].give_back()
            held[who] = 0
        elif shares[who].grow_to(size):
            held[who] = max(held[who], size)
        else:
            most = LIMIT if size <= SMALL_BYTES else LIMIT - RESERVED
            assert sum(held) - held[who] + size > most
        assert room.bytes == sum(held) <= LIMIT
        assert sum(one for one in held if one > SMALL_BYTES) <= LIMIT - RESERVED


def test_files_do_not_keep_people_from_asking() -> None:
    """With no room for one more large body there is room for a message."""
    room = BodyRoom(LIMIT, RESERVED)
    assert room.share().grow_to(LIMIT - RESERVED)
    assert not room.has_room(SMALL_BYTES + 1)
    assert not room.share().grow_to(SMALL_BYTES + 1)
    assert room.has_room(SMALL_BYTES)
    assert room.share().grow_to(SMALL_BYTES)
