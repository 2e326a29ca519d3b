"""How a request or a turn ended, in the words of all figures."""

from __future__ import annotations

from rom_core.errors import Rejected, RomError, TurnCancelled


def status_of(http_status: int, error: RomError | None) -> str:
    """ok, error, rejected (our own refusal), client_error, or cancelled (the client left)."""
    if isinstance(error, TurnCancelled):
        return "cancelled"
    if isinstance(error, Rejected):
        return "rejected"
    code = error.status if error is not None else http_status
    if code >= 500:
        return "error"
    return "client_error" if code >= 400 else "ok"
