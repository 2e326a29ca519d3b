"""Finding CPF and CNPJ in text, and the masks that stand for them. Nothing here knows of hooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from typing import Any

from stdnum.br import cnpj, cpf

# What people put between the groups: nothing, a point, a dash of any kind, a slash, a space.
_GAP = r"[\s./\-\u2010-\u2015\u2212]{0,2}"
_CNPJ = rf"\d{{2}}{_GAP}\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{4}}{_GAP}\d{{2}}"
# Since July 2026 the first twelve places of a CNPJ may be letters.
_LETTERED = rf"[0-9A-Z]{{2}}{_GAP}[0-9A-Z]{{3}}{_GAP}[0-9A-Z]{{3}}{_GAP}[0-9A-Z]{{4}}{_GAP}[0-9]{{2}}"
_CPF = rf"\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{2}}"
# The lettered ones first: a mask that is made of letters and digits must not be taken for the beginning of one.
_CANDIDATES = (
    re.compile(rf"(?<![0-9A-Z]){_LETTERED}(?![0-9A-Z])", re.IGNORECASE),
    re.compile(rf"(?<!\d)(?:{_CNPJ}|{_CPF})(?!\d)"),
)
# Of requests: what must not change (ids, names of tools, what a model has signed), and what is not read (files).
_KEPT = frozenset({"toolUseId", "name", "reasoningContent", "document", "image", "video", "modelId"})
# Below these stands data of tools, in which every key may mean anything.
_DATA = frozenset({"input", "json"})
_MASK_CHARS = 8


def number_in(candidate: str) -> tuple[str, str] | None:
    """The kind ("CPF", "CNPJ") and the bare number, if its check digits are right."""
    plain = unicodedata.normalize("NFKC", candidate)
    for kind, module in (("CPF", cpf), ("CNPJ", cnpj)):
        if module.is_valid(re.sub(_GAP, "", plain)):
            return kind, re.sub(_GAP, "", plain).upper()
    return None


class Masks:
    """The masks of one turn: what was found in it, and how it was written there.

    A mask is made of the number and a key, so that a number has the same mask in every turn and on every instance that
    has this key, and nobody without the key can tell the number, although there are few enough to try them all.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._written: dict[str, str] = {}

    @property
    def known(self) -> dict[str, str]:
        """The number as it was first written, by its mask."""
        return self._written

    def mask_of(self, kind: str, number: str) -> str:
        """`CPF-7K3QX9A2`: short, and nothing that markdown, JSON or the name of a file would break."""
        digest = hmac.digest(self._key, f"{kind} {number}".encode(), hashlib.sha256)
        return f"{kind}-{base64.b32encode(digest).decode()[:_MASK_CHARS]}"

    def hide(self, text: str) -> str:
        """`text` with a mask in the place of every number."""
        for candidate in _CANDIDATES:
            text = candidate.sub(self._masked, text)
        return text

    def _masked(self, match: re.Match[str]) -> str:
        found = number_in(match[0])
        if found is None:
            return match[0]
        mask = self.mask_of(*found)
        self._written.setdefault(mask, match[0])
        return mask

    def hide_in(self, value: Any, kept: frozenset[str] = _KEPT) -> Any:
        """JSON, or a Converse request, with every text in it masked, and numbers that are a CPF or CNPJ."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, int) and not isinstance(value, bool):
            hidden = self.hide(str(value))
            return value if hidden == str(value) else hidden
        if isinstance(value, list | tuple):
            return [self.hide_in(item, kept) for item in value]
        if isinstance(value, dict):
            return {
                self.hide(key): item if key in kept else self.hide_in(item, frozenset() if key in _DATA else kept)
                for key, item in value.items()
            }
        return value

    def show(self, text: str) -> str:
        """`text` with the numbers in the place of their masks, as they were first written."""
        # All at once: a tool that was given up may still begin while the next request is masked.
        for mask, written in reversed(tuple(self._written.items())):
            text = text.replace(mask, written)
        return text

    def show_in(self, value: Any) -> Any:
        """The same for every text in JSON."""
        if isinstance(value, str):
            return self.show(value)
        if isinstance(value, list | tuple):
            return type(value)(self.show_in(item) for item in value)
        if isinstance(value, dict):
            return {self.show(key): self.show_in(item) for key, item in value.items()}
        return value

    def begun(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a mask."""
        longest = 0
        for mask in tuple(self._written):
            for length in range(min(len(mask) - 1, len(text)), longest, -1):
                if text.endswith(mask[:length]):
                    longest = length
                    break
        return longest


class Unmasking:
    """Puts the numbers back into text that comes in pieces, wherever a mask is cut."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._held = ""

    def feed(self, text: str) -> str:
        """What can go on: all but an end that may be the beginning of a mask."""
        text = self._masks.show(self._held + text)
        cut = len(text) - self._masks.begun(text)
        self._held = text[cut:]
        return text[:cut]

    def close(self) -> str:
        """What was held back, and was no mask after all."""
        held, self._held = self._held, ""
        return held
