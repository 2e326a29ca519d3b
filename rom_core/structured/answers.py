"""What a reply holds of the answer that was asked for, and what is done if it does not satisfy the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn

import structlog

from rom_core.errors import InvalidOutput
from rom_core.settings import Model
from rom_core.structured.checking import CannotCheck
from rom_core.structured.ways import answer_tool, ask_for
from rom_core.tools import ToolResult
from rom_core.turn_values import Message, ModelReply, ResponseFormat

logger = structlog.get_logger("rom.structured")

_MAX_DIGITS: Final = 1000
_FENCED: Final = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
# How a model says that it takes no schema, or not this one. What it is for one schema it need not be for another.
_NOT_NATIVE: Final = (
    *("output_config.format", "outputConfig.textFormat"),
    *("compilation exceeded limits", "compiled grammar is too large", "Schema is too complex"),
)
# With these the model was kept from answering; to ask again would end the same.
_FILTERED: Final = ("content_filtered", "guardrail_intervened", "refusal")
_AGAIN: Final = (
    "A resposta não serve: {problems}. Responda de novo, somente com o JSON pedido, que deve satisfazer o esquema."
)
_NO_JSON: Final = "não é JSON"
_CUT: Final = "foi cortada antes do fim; seja mais breve"


class StructuredAnswer:
    """The structured answer of one turn, while it is sought.

    `way` is how the last request asked for it; `text` the answer as JSON, "" until one is found. `requests` are those
    on the wire that the reply took which is to be repeated: both share one budget.
    """

    def __init__(self, wanted: ResponseFormat, tools: Iterable[Mapping[str, Any]], trace_id: str = "") -> None:
        """`tools` are those that the model has besides, as Converse has them."""
        self.way = ""
        self.text = ""
        self.requests = 0
        self._wanted = wanted
        self._tool = answer_tool(tool["toolSpec"]["name"] for tool in tools)
        self._trace_id = trace_id
        self._repeated = False
        self._not_native: set[str] = set()
        self._rules: list[str] = []
        self._reason = ""

    def ask(self, request: dict[str, Any], model: Model, *, closing: bool, client_tools: bool) -> None:
        """Change the request so that it asks `model` for the answer.

        `closing`: now, and for nothing else. `client_tools`: some of its tools are the client's.
        """
        last = closing or self._repeated
        native = model.structured_output and model.alias not in self._not_native
        tool = "" if client_tools or not model.forced_tool_choice else self._tool
        self.way = ask_for(request, self._wanted, native=native, tool=tool, last=last)

    def refused(self, alias: str, refusal: str) -> bool:
        """Whether this model refused to take the schema, and is to be asked in another way for the rest of the turn.

        Rows of MODELS say what is known; whether the service agrees, and how much of a schema it bears, it says itself.
        """
        if self.way != "native" or not any(words in refusal for words in _NOT_NATIVE):
            return False
        self._not_native.add(alias)
        logger.warning("structured.not_native", model=alias, reason=refusal[:200], trace_id=self._trace_id)
        return True

    def among(self, uses: Iterable[Mapping[str, Any]]) -> bool:
        """Whether the answer is among these uses of tools."""
        return any(use["name"] == self._tool for use in uses)

    def found(self, reply: ModelReply) -> bool:
        """Whether the reply holds the answer, which is `text` from now on.

        Raises InvalidOutput if that cannot be told at a bounded cost.
        """
        self._rules = []
        self._reason = _CUT if reply.stop_reason == "max_tokens" or reply.cut_tool_use else _NO_JSON
        for value, text in self._candidates(reply):
            try:
                problems = self._wanted.problems(value)
            except CannotCheck as error:
                logger.warning("structured.not_checked", way=self.way, reason=str(error), trace_id=self._trace_id)
                raise InvalidOutput(f"the answer cannot be checked: {error}") from error
            if not problems:
                self.text = text
                return True
            if not self._rules:
                self._rules = [problem.rule for problem in problems]
                self._reason = "; ".join(problem.text for problem in problems)
        return False

    def check(self, text: str) -> None:
        """Raise InvalidOutput if plugins have made something of the answer that does not satisfy the schema."""
        if text == self.text:
            return
        try:
            problems = self._wanted.problems(json.loads(text, parse_constant=_refuse, parse_int=_whole))
        except (ValueError, RecursionError, CannotCheck):
            problems = [None]
        if problems:
            logger.error("structured.filtered_away", way=self.way, trace_id=self._trace_id)
            raise InvalidOutput("a plugin changed the text of the answer, which is not what was asked for any more")

    def ask_again(self, reply: ModelReply, limit: int) -> Message:
        """The message that asks for the answer once more, after `reply` did not hold it.

        Raises InvalidOutput if that was done already, if the `limit` of requests is reached, or if the answer was
        filtered.
        """
        again = not (self._repeated or self.requests >= limit or reply.stop_reason in _FILTERED)
        logger.warning("structured.invalid", way=self.way, rules=self._rules, again=again, trace_id=self._trace_id)
        if not again:
            raise self.failure(reply)
        self._repeated = True
        text = _AGAIN.format(problems=self._reason)
        if reply.tool_uses:
            error = ToolResult.error(text)
            return {"role": "user", "content": [error.block(use["toolUseId"]) for use in reply.tool_uses]}
        return {"role": "user", "content": [{"text": text}]}

    def failure(self, reply: ModelReply | None) -> InvalidOutput:
        """The error that stands for an answer that never became valid; None for one that never came.

        It quotes the schema, and nothing of the answer.
        """
        if reply is None:
            why = "its tool loop was stopped"
        elif reply.stop_reason in _FILTERED:
            why = "the answer was filtered"
        elif reply.stop_reason == "max_tokens":
            why = "the answer was cut at max_tokens"
        elif self._rules:
            why = f"the answer breaks the schema at {', '.join(self._rules)}"
        else:
            why = "the answer is not the JSON that was asked for"
        return InvalidOutput(f"the model did not answer in the form that was asked for: {why}")

    def _candidates(self, reply: ModelReply) -> Iterator[tuple[Any, str]]:
        """What may be the answer, as a value and as JSON: what the tool was given, then what the text holds."""
        values = [use["input"] for use in reply.tool_uses if use["name"] == self._tool]
        for text in _json_texts(reply.text):
            try:
                values.append(json.loads(text, parse_constant=_refuse, parse_int=_whole))
            except (ValueError, RecursionError):
                continue
        for value in values:
            try:
                yield value, json.dumps(value, ensure_ascii=False, allow_nan=False)
            except (ValueError, RecursionError):
                continue


def _json_texts(text: str) -> Iterator[str]:
    """Where a text may hold the JSON: all of it, the one fenced block in it, or its end from the first bracket on."""
    yield text
    fenced = _FENCED.findall(text)
    if len(fenced) == 1:
        yield fenced[0]
    start = min((place for place in (text.find("{"), text.find("[")) if place > 0), default=0)
    if start:
        yield text[start:]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("too many digits")
    return int(digits)
