"""How the local model words what a tool answered: as a person would read it, in Portuguese."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

MARK = "(Resposta do modelo local de demonstração, que não é um modelo de linguagem.)"
INTRODUCTION = "Sou o modelo local de demonstração, não um modelo de linguagem"

# Members of an answer that already say it in words, and those with what has to be minded besides.
_SAID = ("explanation", "explicacao", "summary", "resumo", "message", "mensagem", "answer", "resposta", "text", "texto")
_MINDED = ("warnings", "avisos")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def words_of(content: Iterable[Mapping[str, Any]]) -> str:
    """The text and JSON of a toolResult in words.

    JSON that explains itself is not spelt out: its explanation and its warnings are what a person wants to know.
    """
    parts = []
    for block in content:
        if block.get("text"):
            parts.append(_text(block["text"]))
        elif block.get("json") is not None:
            parts.append(_value(block["json"]))
        else:
            parts.append(f"[{next(iter(block), 'nada')}]")
    return "\n".join(filter(None, parts))


def _text(text: str) -> str:
    """JSON that a tool sends as text is worded as if it were JSON."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _value(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return text.strip()


def _value(value: Any) -> str:
    if isinstance(value, dict):
        said = next((value[name] for name in _SAID if isinstance(value.get(name), str) and value[name].strip()), None)
        if said is None:
            return "; ".join(f"{_name(name)}: {_inner(part)}" for name, part in value.items()) or "nada"
        minded = [note for name in _MINDED for note in _list(value.get(name)) if isinstance(note, str)]
        notes = "\n".join(["Atenção:", *(f"- {note}" for note in minded)])
        return f"{said.strip()}\n\n{notes}" if minded else said.strip()
    if isinstance(value, list):
        return "\n".join(f"- {_value(part)}" for part in value) or "nenhum"
    return _scalar(value)


def _inner(value: Any) -> str:
    """A value within a line."""
    if isinstance(value, dict):
        return f"({', '.join(f'{_name(name)} {_inner(part)}' for name, part in value.items())})" if value else "nada"
    if isinstance(value, list):
        return ", ".join(map(_inner, value)) or "nenhum"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "sim" if value else "não"
    if value is None:
        return "não informado"
    if isinstance(value, str) and (day := _ISO_DATE.fullmatch(value)):
        return f"{day[3]}/{day[2]}/{day[1]}"
    return str(value)


def _name(name: str) -> str:
    return name.replace("_", " ")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
