"""Ids: 32 hexadecimal digits, and no two alike."""

from __future__ import annotations

import os
import re

from rom_core.telemetry.ids import new_id


def test_ids_are_unique_and_well_formed() -> None:
    """As W3C trace ids have to be."""
    ids = {new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in ids)


def test_a_forked_process_makes_others() -> None:
    """Two processes that begin from one state must not make the same ids."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, new_id().encode())
        os._exit(0)
    with os.fdopen(reader) as child:
        os.close(writer)
        given = child.read()
    os.wait()
    assert given != new_id()
