"""Masking: CPF and CNPJ do not leave for the model; who asked, and the tools, get them back.

Settings: MASKING_ENABLED (switch), MASKING_KEY.
Hooks: rom_settings, rom_model_request, rom_text, rom_tool_call, rom_turn.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Generator, Sequence
from typing import Any

from rom_core.markers import hookimpl
from rom_core.settings import Setting
from rom_core.tools import ToolResult
from rom_core.turn import Attempt, ToolCall, Turn
from rom_core.turn_values import TurnResult

from rom_masking.masks import Masks, Unmasking


class Masking:
    """The plugin. What it finds belongs to the turn; itself it has only a key for servers that were given none."""

    def __init__(self) -> None:
        self._own_key = secrets.token_hex()

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch, and the key of the masks."""
        return [
            Setting("MASKING_ENABLED", bool, False, "Masks CPF and CNPJ on their way to the model.", switch=True),
            Setting(
                "MASKING_KEY",
                str,
                "",
                "Key of the masks, the same on all instances; empty: another at each start.",
                secret=True,
            ),
        ]

    @hookimpl
    def rom_model_request(self, attempt: Attempt, request: dict[str, Any]) -> None:
        """Mask everything that goes out: system text, the whole conversation, inputs and results of tools."""
        masks = self._masks(attempt.turn)
        hidden = masks.hide_in(request)
        request.clear()
        request.update(hidden)

    @hookimpl
    def rom_text(self, turn: Turn) -> Unmasking | None:
        """Put the numbers back into the answer, streamed or not; where none was found nothing is filtered."""
        masks = self._masks(turn)
        return Unmasking(masks) if masks.known else None

    @hookimpl(wrapper=True)
    def rom_tool_call(self, tool_call: ToolCall) -> Generator[None, ToolResult, ToolResult]:
        """A tool of the server works with the numbers; what it returns is masked with the next request."""
        tool_call.input = self._masks(tool_call.turn).show_in(tool_call.input)
        return (yield)

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Turn) -> Generator[None, TurnResult, TurnResult]:
        """So does a tool of the client: the inputs that it is handed."""
        result = yield
        return dataclasses.replace(result, tool_uses=self._masks(turn).show_in(result.tool_uses))

    def _masks(self, turn: Turn) -> Masks:
        if "masking" not in turn.stash:
            turn.stash["masking"] = Masks((turn.settings.MASKING_KEY or self._own_key).encode())
        masks: Masks = turn.stash["masking"]
        return masks
