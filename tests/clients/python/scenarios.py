"""What every client is asked to do, and how it says what came of it: a line of JSON for each scenario."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping

URL, KEY, MODEL = os.environ["ROM_URL"], os.environ["ROM_KEY"], os.environ["ROM_MODEL"]
QUESTION = "Quais são os prazos do processo?"
TOOL_QUESTION = '[[tools=1]] [[tool=weather]] [[input={"town": "Santos"}]] Como está o tempo?'
THROTTLED = f"[[fault=429]] Quais são os prazos? ({os.environ['ROM_CLIENT']})"
SYSTEM = "Seja breve."
WEATHER = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOWN = {
    "type": "object",
    "properties": {"town": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["town", "people"],
    "additionalProperties": False,
}


def weather(town: str) -> str:
    """The weather of a town.

    Args:
        town: its name.
    """
    assert town == "Santos", town
    return "25 graus"


def refused(ask: Callable[[], object], *kinds: str) -> None:
    """Pass if `ask` raises an exception that is called so, or has one of that name behind it."""
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        seen: BaseException | None = error
        names = []
        while seen is not None:
            names.append(type(seen).__name__)
            seen = seen.__cause__ or seen.__context__
        assert set(names) & set(kinds), names
    else:
        raise AssertionError("nothing was raised")


def play(scenarios: Mapping[str, Callable[[], object]]) -> None:
    """Run those that the command line names, or all, and print what came of each; each waits for a line of input."""
    for name, scenario in scenarios.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        print(json.dumps({"begin": name}), flush=True)
        sys.stdin.readline()
        try:
            scenario()
            error = ""
        except Exception as failure:  # noqa: BLE001 - it is what the table shows
            error = f"{type(failure).__name__}: {failure}"[:1000]
        print(json.dumps({"scenario": name, "error": error}), flush=True)
