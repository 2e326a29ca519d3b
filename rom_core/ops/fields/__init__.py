"""What docs/reference.md says of each field of the types that hooks take and return, by type and field.

`FIELDS` says what a field is, a number with its unit; `MAY_CHANGE` what a plugin may do to the field of an object that
lives while a turn runs: where nothing stands it only reads. A test fails while a field has no text, or a text no field.
"""

from __future__ import annotations

from collections.abc import Mapping

from rom_core.ops.fields.declared import DECLARED
from rom_core.ops.fields.process_events import PROCESS_EVENTS
from rom_core.ops.fields.turn_events import TURN_EVENTS
from rom_core.ops.fields.turns import MAY_CHANGE, TURNS
from rom_core.ops.fields.values import VALUES

FIELDS: Mapping[str, Mapping[str, str]] = {**TURNS, **VALUES, **DECLARED, **TURN_EVENTS, **PROCESS_EVENTS}

__all__ = ["FIELDS", "MAY_CHANGE"]
