"""What the normaliser knows of a model, and the texts it puts where something has to stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Block = dict[str, Any]
"""A content block as Converse has it: a dict with exactly one member, whose name is the block's kind."""
Message = dict[str, Any]
"""`{"role": "user" | "assistant", "content": [Block, ...]}`; our own notes on it start with an underscore.

`_model`, on an assistant message, is the alias of the model that wrote it.
"""

OPENING: Final = "(início da conversa)"
CONTINUE: Final = "Continue."
EMPTY_MESSAGE: Final = "(mensagem vazia)"
EMPTY_RESULT: Final = "(resultado vazio)"
NO_RESULT: Final = "Nenhum resultado disponível para esta chamada de ferramenta."
ATTACHED: Final = "Documento anexo."
TOOL_USE: Final = "[chamada da ferramenta {name}: {input}]"
TOOL_RESULT: Final = "[resultado de ferramenta]"
UNUSABLE: Final = "[conteúdo não aceito: {kind}]"
TOO_DEEP: Final = "[aninhado demais]"


class EmptyConversation(ValueError):
    """No message of the request has any content, so there is nothing to ask the model."""


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """What a model accepts.

    `max_tokens` is the most it can be asked to write (at least 1). `prompt_caching`: it accepts cache points.
    `alias` is compared with the `_model` of messages: reasoning goes back only to the model that signed it.
    `temperature_with_top_p`: it takes both at once (Claude from 4.1 on refuses that; then topP is left out).
    """

    max_tokens: int
    prompt_caching: bool = False
    alias: str = ""
    temperature_with_top_p: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
