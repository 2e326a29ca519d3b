"""The messages as an exchange: roles alternate from a user's to a user's, and every tool call has its one result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, Final

from rom_core.conversation.blocks import clean_content, in_result, readable, result_as_message
from rom_core.conversation.citations import without_citations
from rom_core.conversation.model import (
    ATTACHED,
    CONTINUE,
    EMPTY_MESSAGE,
    NO_RESULT,
    OPENING,
    Block,
    EmptyConversation,
    Message,
    ModelCapabilities,
    author,
)
from rom_core.conversation.reasoning import fit_signed
from rom_core.conversation.values import clean_name, is_name, sequence

_NAME_LENGTH: Final = 64


@dataclass(slots=True)
class Memo:
    """What the normaliser remembers of one conversation, from one request to the next that goes on from it.

    Messages that it has seen must not be changed any more.
    """

    settled: Settled | None = None
    tools: tuple[list[Any], list[Block], set[str]] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The beginning of a conversation that stays as it came out, whatever follows: `given` became `turns`.

    It ends with a user's message, has no cache points, and `taken` holds its toolUseIds.
    """

    given: list[Any]
    alias: str
    turns: list[Message]
    taken: set[str]


def exchange(messages: Any, model: ModelCapabilities, memo: Memo | None = None) -> tuple[list[Message], int]:
    """The messages for this model, in new dicts, and how many of the first came out of `memo`.

    Raises EmptyConversation if none has any content.
    """
    given = list(sequence(messages))
    known = _known(given, model.alias, memo)
    turns, whole = _alternating(given[len(known.given) :] if known else given, model)
    if known and turns and turns[0]["role"] == "user":
        known = None
        turns, whole = _alternating(given, model)
    old, taken = ([*known.turns], {*known.taken}) if known else ([], set())
    if not known and not any(_has_content(turn["content"]) for turn in turns):
        raise EmptyConversation("the conversation has no message with content")
    if not known and turns[0]["role"] == "assistant":
        turns.insert(0, _user({"text": OPENING}))
    settled = whole
    if turns and turns[-1]["role"] == "assistant":
        settled = False
        if not (model.prefill and _is_begun_answer(turns[-1])):
            turns.append(_user())
    _pair(turns, taken)
    for turn in turns:
        if not _has_content(turn["content"]):
            settled = settled and turn is not turns[-1]
            turn["content"] = [{"text": CONTINUE if turn is turns[-1] else EMPTY_MESSAGE}]
        elif turn["role"] == "user":
            turn["content"] = _with_text(turn["content"])
    if memo is not None and settled and not any("cachePoint" in block for turn in turns for block in turn["content"]):
        memo.settled = Settled(given, model.alias, old + turns, taken)
    return old + turns, len(old)


def _known(given: list[Any], alias: str, memo: Memo | None) -> Settled | None:
    """What is remembered, if this conversation goes on from it."""
    settled = memo.settled if memo is not None else None
    if settled is None or settled.alias != alias or len(given) < len(settled.given):
        return None
    # The very same objects: equal ones may differ in what JSON makes of them, as 1 and True do.
    return settled if all(map(is_, settled.given, given)) else None


def tool_names(messages: Iterable[Message]) -> Iterator[str]:
    """The names of all tools that the assistant asked for, in the order of their use."""
    return (block["toolUse"]["name"] for message in messages for block in message["content"] if "toolUse" in block)


def _alternating(messages: Iterable[Any], model: ModelCapabilities) -> tuple[list[Message], bool]:
    """Turns whose roles alternate, and whether more messages would leave them as they are, roles aside."""
    turns: list[Message] = []
    moved: list[Block] = []
    for message in messages:
        if not isinstance(message, Mapping):
            continue
        role = "assistant" if message.get("role") == "assistant" else "user"
        own = author(message) in (None, model.alias)
        content, media = clean_content(message.get("content"), role, keep_reasoning=own)
        if model.unread:
            content, media = ([readable(block, model.unread) for block in blocks] for blocks in (content, media))
        if not model.citations:
            content, media = ([without_citations(block) for block in blocks] for blocks in (content, media))
        if role == "user" and moved:
            content, moved = moved + content, []
        moved += media
        if role == "assistant" and not _has_content(content):
            continue
        if turns and turns[-1]["role"] == role:
            content = turns[-1]["content"] + content
            turns[-1]["content"] = fit_signed(content, whole=False) if role == "assistant" else content
        else:
            turns.append({"role": role, "content": content})
    if moved and turns and turns[-1]["role"] == "user":
        turns[-1]["content"] += moved
    elif moved:
        turns.append(_user(*moved))
    return turns, not moved


def _pair(turns: list[Message], taken: set[str]) -> None:
    """Give every toolUse an id that is not `taken`, which grows, and its one result.

    `turns` alternate and end with a user's.
    """
    uses: list[tuple[str, str]] = []
    for turn in turns:
        content = turn["content"]
        if turn["role"] == "assistant":
            uses = identify(content, taken)
        elif uses or any("toolResult" in block for block in content):
            turn["content"] = _answered(content, uses)
            uses = []


def identify(content: list[Block], taken: set[str]) -> list[tuple[str, str]]:
    """Make the toolUseIds of one message valid and unlike those `taken`, in place; pairs of old and new, by position.

    The new ones are added to `taken`.
    """
    uses: list[tuple[str, str]] = []
    for index, block in enumerate(content):
        use = block.get("toolUse")
        if use is None:
            continue
        given = use["toolUseId"]
        unique = given if given not in taken and is_name(given) else _unused(clean_name(given, "tool"), taken)
        taken.add(unique)
        uses.append((given, unique))
        if unique != given:
            content[index] = {"toolUse": {**use, "toolUseId": unique}}
    return uses


def _unused(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if need be; found in few steps, though thousands may have the same."""
    if name not in taken:
        return name
    used, free = 1, 2
    while _numbered(name, free) in taken:
        used, free = free, 2 * free
    while free - used > 1:
        middle = (used + free) // 2
        if _numbered(name, middle) in taken:
            used = middle
        else:
            free = middle
    return _numbered(name, free)


def _numbered(name: str, number: int) -> str:
    suffix = f"-{number}"
    return name[: _NAME_LENGTH - len(suffix)] + suffix


def _answered(content: list[Block], uses: Sequence[tuple[str, str]]) -> list[Block]:
    """A user message's content in which exactly the toolUses before it are answered, and nothing stands beside."""
    asked = {given for given, _ in uses}
    results: dict[str, list[Block]] = {}
    beside: list[Block] = []
    points: list[Block] = []
    for block in content:
        if "toolResult" in block:
            result = block["toolResult"]
            if result["toolUseId"] in asked:
                results.setdefault(result["toolUseId"], []).append(block)
            else:
                beside += result_as_message(result)
        elif "cachePoint" in block and uses:
            points = [block]
        else:
            beside.append(block)
    if not uses:
        return beside
    answers = [_answer(results.get(given), unique) for given, unique in uses]
    if beside:
        last = answers[-1]["toolResult"]
        answers[-1] = {"toolResult": {**last, "content": [*last["content"], *map(in_result, beside)]}}
    return answers + points


def _answer(results: list[Block] | None, tool_use_id: str) -> Block:
    """The first of the results that is left, under this id, or an error that says there is none."""
    if not results:
        return {"toolResult": {"toolUseId": tool_use_id, "content": [{"text": NO_RESULT}], "status": "error"}}
    block = results.pop(0)
    if block["toolResult"]["toolUseId"] == tool_use_id:
        return block
    return {"toolResult": {**block["toolResult"], "toolUseId": tool_use_id}}


def _with_text(content: list[Block]) -> list[Block]:
    """Bedrock takes a document only together with a text that says what to do with it."""
    if any("document" in block for block in content) and not any("text" in block for block in content):
        return [{"text": ATTACHED}, *content]
    return content


def _is_begun_answer(message: Message) -> bool:
    """Whether a model can go on from this assistant's message; blanks at its end, which are refused, go, in place."""
    content = message["content"]
    if any("text" not in block for block in content):
        return False
    content[-1] = {"text": content[-1]["text"].rstrip()}
    return True


def _has_content(content: list[Block]) -> bool:
    return any("cachePoint" not in block and "reasoningContent" not in block for block in content)


def _user(*content: Block) -> Message:
    return {"role": "user", "content": list(content)}
