"""The deterministic model: from a request and a behaviour to the blocks of an answer, in Portuguese."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import cycle, islice
from typing import Any

from local_bedrock.behaviour import MISSING, Behaviour
from local_bedrock.citing import quote_of
from local_bedrock.conversation import Turn
from local_bedrock.models import ModelInfo
from local_bedrock.reasoning import signature
from local_bedrock.structured import asked_for, made_up
from local_bedrock.tools import choose_tool, make_input, missing_dates
from local_bedrock.usage import tokens_of
from local_bedrock.wording import INTRODUCTION, MARK, words_of

_INPUT_PIECE = 16
_QUOTED = 200
_THOUGHT = "Vou considerar o pedido e o que já sei sobre ele."
_STORY = (
    "o processo segue em curso e a parte foi intimada para se manifestar no prazo legal conforme decisão do juízo "
    "que designou audiência de conciliação e determinou a juntada dos documentos pelas partes nos autos"
)


@dataclass(frozen=True, slots=True)
class Text:
    """A text block, or with a `signature` one of reasoning, whose text may be empty, with a `citation` a cited one."""

    text: str
    signature: str = ""
    citation: Mapping[str, Any] | None = None

    @property
    def pieces(self) -> list[str]:
        """The text in words, each with the space after it."""
        return re.findall(r"\s*\S+\s*|\s+", self.text)

    def block(self) -> dict[str, Any]:
        """The content block of a Converse answer."""
        if self.signature:
            return {"reasoningContent": {"reasoningText": {"text": self.text, "signature": self.signature}}}
        if self.citation is not None:
            return {"citationsContent": {"content": [{"text": self.text}], "citations": [self.citation]}}
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A request for a tool; `arguments` is JSON, cut short where the answer ends in the middle of it."""

    tool_use_id: str
    name: str
    arguments: str

    @property
    def pieces(self) -> list[str]:
        """The JSON in pieces; the first is empty, and the only one for an empty object, as on Bedrock."""
        if self.arguments == "{}":
            return [""]
        return ["", *(self.arguments[i : i + _INPUT_PIECE] for i in range(0, len(self.arguments), _INPUT_PIECE))]

    def block(self) -> dict[str, Any]:
        """The content block of a Converse answer; broken arguments are given as an empty object."""
        try:
            arguments = json.loads(self.arguments)
        except ValueError:
            arguments = {}
        return {"toolUse": {"toolUseId": self.tool_use_id, "name": self.name, "input": arguments}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, and why it stops."""

    blocks: tuple[Text | ToolUse, ...]
    stop_reason: str

    @property
    def output_tokens(self) -> int:
        """Tokens of the text, and of the names and arguments of tool uses."""
        return tokens_of(sum(_size(block) for block in self.blocks))


def answer(body: dict[str, Any], turn: Turn, text: str, behaviour: Behaviour, model: ModelInfo) -> Answer:
    """What `model` answers to a valid request. `text` is the turn's message without directives.

    Equal input, equal answer.
    """
    uses = _tool_uses(body, turn, text, behaviour)
    blocks: list[Text | ToolUse] = []
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    if behaviour.reasoning or _thinks(model, thinking, turn):
        shown = "" if model.hides_thinking and not thinking.get("display") else _THOUGHT
        blocks.append(Text(shown, signature(model, body, _THOUGHT)))
    if uses:
        if behaviour.cut_tool_use:
            last = uses[-1]
            uses[-1] = replace(last, arguments=last.arguments[: max(1, len(last.arguments) // 2)])
            return Answer((*blocks, *uses), behaviour.stop or "max_tokens")
        return _within_limit(Answer((*blocks, *uses), "tool_use"), body)
    if behaviour.empty:
        return Answer(tuple(blocks), behaviour.stop or "end_turn")
    said = _say(body, turn, text, behaviour)
    stopped = _before_stop_sequence(said, body)
    made = Answer(
        (*blocks, *_cited(body, turn, behaviour), *([Text(stopped)] if stopped else [])),
        "end_turn" if stopped == said else "stop_sequence",
    )
    made = _within_limit(made, body)
    return replace(made, stop_reason=behaviour.stop) if behaviour.stop else made


def _cited(body: Mapping[str, Any], turn: Turn, behaviour: Behaviour) -> list[Text]:
    """A quote from a document where citations are asked for, unless the answer is ordered to the letter."""
    ordered = behaviour.say is not None or behaviour.length is not None or bool(turn.results)
    citation = None if ordered and behaviour.quote is None else quote_of(body, behaviour.quote)
    if citation is None:
        return []
    quote = citation["sourceContent"][0]["text"]
    return [Text(f'O documento diz: "{quote}"', citation=citation), Text(".\n\n")]


def _thinks(model: ModelInfo, setting: Mapping[str, Any], turn: Turn) -> bool:
    kind = setting.get("type")
    if kind is None:
        return model.thinks
    return kind in ("enabled", "adaptive") or (kind == "between_tools" and bool(turn.results))


def _tool_uses(body: Mapping[str, Any], turn: Turn, text: str, behaviour: Behaviour) -> list[ToolUse]:
    offered = _offered(body)
    choice = (body.get("toolConfig") or {}).get("toolChoice") or {}
    names, rounds = _plan(offered, choice, text, behaviour)
    if choice.get("any") is not None and turn.tool_rounds >= rounds:
        # Forced, and done with the others: the last that is offered is the one that ends it.
        names = list(offered)[-1:]
    forced = choice.get("any") is not None or choice.get("tool") is not None
    if not names or (turn.tool_rounds >= rounds and not (forced and behaviour.say is None)):
        return []
    count = behaviour.parallel or 1
    return [
        _tool_use(
            names[(turn.tool_rounds + slot) % len(names)],
            turn.tool_rounds * count + slot + 1,
            offered,
            turn,
            text,
            behaviour,
        )
        for slot in range(count)
    ]


def _plan(
    offered: Mapping[str, Mapping[str, Any]], choice: Mapping[str, Any], text: str, behaviour: Behaviour
) -> tuple[Sequence[str], int]:
    """Which tools, in turns, and in how many iterations."""
    ordered = bool(behaviour.tool or behaviour.parallel or behaviour.input is not MISSING)
    answered = behaviour.say is not None or behaviour.length is not None or behaviour.empty
    rounds = int(ordered or not answered) if behaviour.tools is None else behaviour.tools
    if behaviour.tool:
        return behaviour.tool, rounds
    if choice.get("tool"):
        return [choice["tool"]["name"]], rounds
    fitting = choose_tool(list(offered.values()), text)
    if fitting is not None:
        free = behaviour.tools is None and not ordered and choice.get("any") is None
        return ([], 0) if free and missing_dates(fitting, text) else ([fitting["name"]], rounds)
    if behaviour.tools is not None or ordered or choice.get("any") is not None:
        return list(offered)[:1], rounds
    return [], 0


def _tool_use(
    name: str,
    number: int,
    offered: Mapping[str, Mapping[str, Any]],
    turn: Turn,
    text: str,
    behaviour: Behaviour,
) -> ToolUse:
    if behaviour.input is not MISSING:
        arguments = _numbered(behaviour.input, number)
    elif name in offered:
        arguments = make_input(offered[name], text)
    else:
        arguments = {}
    return ToolUse(_tool_use_id(turn, number), name, json.dumps(arguments, ensure_ascii=False))


def _tool_use_id(turn: Turn, number: int) -> str:
    """An id that depends on the conversation alone and is not yet in it, even if the client trimmed the history."""
    attempt = 0
    while True:
        seed = f"{turn.text}\0{len(turn.tool_names)}\0{number}\0{attempt}"
        made = f"tooluse_{blake2b(seed.encode(), digest_size=11).hexdigest()}"
        if made not in turn.tool_names:
            return made
        attempt += 1


def _numbered(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return value.replace("$n", str(number))
    if isinstance(value, dict):
        return {key: _numbered(part, number) for key, part in value.items()}
    if isinstance(value, list):
        return [_numbered(part, number) for part in value]
    return value


def _say(body: Mapping[str, Any], turn: Turn, text: str, behaviour: Behaviour) -> str:
    if behaviour.say is not None:
        return behaviour.say
    if behaviour.length is not None:
        return " ".join(islice(cycle(_STORY.split()), behaviour.length))
    if (schema := asked_for(body)) is not None:
        return made_up(schema, text)
    if turn.results:
        return "\n\n".join([MARK, *(_report(result, turn) for result in turn.results)])
    if question := _question(body, text):
        return f"{INTRODUCTION}. {question}"
    shown = text if len(text) <= _QUOTED else text[:_QUOTED] + "…"
    if not shown:
        return f"Olá! {INTRODUCTION}. Em que posso ajudar?"
    return f"{INTRODUCTION}, e nenhuma ferramenta se aplica. Você disse: {shown}"


def _question(body: Mapping[str, Any], text: str) -> str:
    """What has to be known before the fitting tool can be used, "" if nothing."""
    fitting = choose_tool(list(_offered(body).values()), text)
    if fitting is None or not (missing := missing_dates(fitting, text)):
        return ""
    names = ", ".join(name.replace("_", " ") for name in missing)
    return f"Para usar a ferramenta {fitting['name']} preciso saber: {names}. Escreva a data como 13/03/2026."


def _offered(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    tools = (body.get("toolConfig") or {}).get("tools") or []
    return {tool["toolSpec"]["name"]: tool["toolSpec"] for tool in tools if tool.get("toolSpec")}


def _report(result: Mapping[str, Any], turn: Turn) -> str:
    name = turn.tool_names.get(result["toolUseId"], "ferramenta")
    words = words_of(result["content"])
    if result.get("status") == "error":
        return f"Não consegui usar a ferramenta {name}: {words}"
    return f"Segundo a ferramenta {name}: {words}"


def _before_stop_sequence(text: str, body: Mapping[str, Any]) -> str:
    sequences = (body.get("inferenceConfig") or {}).get("stopSequences") or []
    places = [place for place in (text.find(sequence) for sequence in sequences) if place >= 0]
    return text[: min(places)] if places else text


def _within_limit(made: Answer, body: Mapping[str, Any]) -> Answer:
    """The answer up to maxTokens, cut in the middle of the block that crosses the limit."""
    limit = (body.get("inferenceConfig") or {}).get("maxTokens")
    if limit is None or made.output_tokens <= limit:
        return made
    left, kept = limit * 4, list[Text | ToolUse]()
    for block in made.blocks:
        size = _size(block)
        if size <= left:
            kept.append(block)
        elif isinstance(block, Text):
            kept.append(replace(block, text=block.text[:left]))
        elif left > len(block.name):
            kept.append(replace(block, arguments=block.arguments[: left - len(block.name)]))
        left -= size
        if left <= 0:
            break
    return Answer(tuple(kept), "max_tokens")


def _size(block: Text | ToolUse) -> int:
    return len(block.text) if isinstance(block, Text) else len(block.name) + len(block.arguments)
