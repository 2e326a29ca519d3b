"""What the normaliser knows of a model, and the texts it puts where something has to stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Block = dict[str, Any]
"""A content block as Converse has it: a dict with exactly one member, whose name is the block's kind."""
Message = dict[str, Any]
"""`{"role": "user" | "assistant", "content": [Block, ...]}`; our own notes on it start with an underscore.

The only one is its author, see `written_by`. It stands in the message itself, not beside it, so that it survives what
plugins do with messages: a copy with other content is still that model's.
"""
_AUTHOR: Final = "_model"

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


def written_by(model: str, content: list[Block]) -> Message:
    """An assistant's message with a note of the model, by its alias, that wrote it; the note never goes on the wire."""
    return {"role": "assistant", "content": content, _AUTHOR: model}


def claimed_by(model: str, message: Message) -> Message:
    """A message that a client brought, with the model it asks for as the author of what is signed in it.

    Who signed it, only the client knows; another model, as one that takes over, would refuse it.
    """
    signed = any(isinstance(block, Mapping) and "reasoningContent" in block for block in message["content"])
    return {**message, _AUTHOR: model} if signed and author(message) is None else message


def author(message: Mapping[str, Any]) -> str | None:
    """The alias of the model that wrote this message, None if nobody noted it."""
    noted = message.get(_AUTHOR)
    return noted if isinstance(noted, str) else None


class EmptyConversation(ValueError):
    """No message of the request has any content, so there is nothing to ask the model."""


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """What a model accepts.

    `max_tokens` is the most it can be asked to write (at least 1). `prompt_caching`: it accepts cache points.
    `alias` is compared with the author of messages: reasoning goes back only to the model that signed it.
    `temperature_with_top_p`: it takes both at once (Claude from 4.1 on refuses that; then topP is left out).
    The others are those of a row of MODELS (`settings.models.Model`).
    """

    max_tokens: int
    prompt_caching: bool = False
    alias: str = ""
    temperature_with_top_p: bool = False
    sampling: bool = True
    forced_tool_choice: bool = True
    thinking: str = "none"
    thinking_between_tools: bool = False
    prefill: bool = False
    structured_output: bool = False
    documents: bool = True
    images: bool = True
    citations: bool = True

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")

    @property
    def unread(self) -> frozenset[str]:
        """The kinds of content blocks that it does not read."""
        return _UNREAD[self.documents, self.images]


_UNREAD: Final = {
    (documents, images): frozenset((("document",) * (not documents)) + (("image",) * (not images)))
    for documents in (True, False)
    for images in (True, False)
}
