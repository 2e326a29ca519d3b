"""Validating against a JSON Schema at a bounded cost, whoever sent the value."""

from __future__ import annotations

from itertools import islice
from typing import Any

# A small body can break a schema in hundreds of thousands of places, and every one of them costs memory and time.
_MAX_ERRORS = 20


def first_errors(validator: Any, value: Any) -> list[Any]:
    """Some of the errors that a jsonschema validator finds, at most 20, in the order of their paths."""
    found = islice(validator.iter_errors(value), _MAX_ERRORS)
    return sorted(found, key=lambda error: [str(part) for part in error.absolute_path])
