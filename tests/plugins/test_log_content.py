"""What people and models said: in no line of the log, unless LOG_CONTENT asks for it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, Site
from log_support import SECRET, Lines, Persistent, at_debug
from support import Toolkit, asks, failure, make_runtime, make_turn, says, tool

from plugins.request_log import RequestLog
from plugins.request_log.content import ContentLimit
from rom_core import hookspecs
from rom_core.errors import ModelThrottled
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings, load_settings
from rom_core.tools import ToolResult


@at_debug
def test_nothing_that_was_said_is_logged(written: Lines) -> None:
    """Not the question, the answer, a tool's input, output or exception, nor a name the model made up."""

    def fails(_value: Any, _context: Any) -> str:
        raise ValueError(SECRET)

    runtime, _ = make_runtime(
        failure(ModelThrottled, upstream_message=SECRET),
        asks(("look", {"q": SECRET}), ("fails", {"q": SECRET}), (SECRET, {}), text=SECRET),
        says(SECRET),
        plugins={
            "request_log": RequestLog(),
            "p": Persistent(),
            "kit": Toolkit(tool(run=lambda *_: SECRET), tool("fails", fails)),
        },
        SYSTEM_PROMPT=SECRET,
    )
    runtime.run(make_turn(runtime, SECRET, system=SECRET, user=SECRET))
    assert len(written()) > 15
    assert SECRET not in json.dumps(written(), ensure_ascii=False)


@at_debug
def test_log_content_adds_what_was_said(written: Lines) -> None:
    """Question, answer, tool input and output, and the service's own words, where the turn's settings say so."""
    runtime, _ = make_runtime(
        failure(ModelThrottled, upstream_message="slow down"),
        asks(("look", {"q": "in"})),
        says("answer"),
        plugins={"request_log": RequestLog(), "p": Persistent(), "kit": Toolkit(tool(run=lambda *_: "out"))},
        LOG_CONTENT=True,
    )
    runtime.run(make_turn(runtime))
    by_name = {line["event"]: line for line in written()}
    assert by_name["turn.finished"]["question"] == [{"text": "question"}]
    assert by_name["turn.finished"]["answer"] == "answer"
    assert (by_name["tool.finished"]["input"], by_name["tool.finished"]["output"]) == ({"q": "in"}, [{"text": "out"}])
    assert by_name["attempt.failed"]["upstream_message"] == "slow down"


@at_debug
def test_log_content_says_of_files_what_they_are_and_how_large(written: Lines) -> None:
    """Neither their names nor what is in them, whether a person attached them or a tool returned them."""
    document = {"document": {"name": SECRET, "format": "txt", "source": {"bytes": SECRET.encode()}}}
    runtime, _ = make_runtime(
        asks(("look", {})),
        says("answer"),
        plugins={"request_log": RequestLog(), "kit": Toolkit(tool(run=lambda *_: ToolResult((document,))))},
        LOG_CONTENT=True,
    )
    runtime.run(make_turn(runtime, messages=({"role": "user", "content": [document, {"text": "question"}]},)))
    by_name = {line["event"]: line for line in written()}
    shown = {"document": {"format": "txt", "bytes": len(SECRET.encode())}}
    assert by_name["turn.finished"]["question"] == [shown, {"text": "question"}]
    assert by_name["tool.finished"]["output"] == [shown]
    assert "confessou" not in json.dumps(written())


def test_log_content_is_refused_in_production() -> None:
    """Staging may at run time only, development as it likes, production never."""
    catalogue = Catalogue.of(hookspecs, request_log=RequestLog())
    environ = {"LOG_CONTENT": "true", "API_KEYS": secrets.token_hex(16), "DATA_RESIDENCY": "any: partners, clauses"}

    def load(environment: str) -> Any:
        from support import NOWHERE

        return load_settings(
            catalogue.settings, catalogue.rules, root=NOWHERE, environ=environ | {"ROM_ENV": environment}
        )

    assert load("development").LOG_CONTENT is True
    for environment in ("staging", "production"):
        with pytest.raises(InvalidSettings, match="LOG_CONTENT"):
            load(environment)


def test_log_content_in_staging_is_set_at_run_time_and_ends_by_itself(tmp_path: Path) -> None:
    """From a file or the environment it is refused; as an override it is cleared after LOG_CONTENT_MINUTES."""
    site = Site(tmp_path, request_log=RequestLog())
    site.environ |= {"ROM_ENV": "staging", "API_KEYS": secrets.token_urlsafe(32), "DATA_RESIDENCY": "any: ana, test"}
    runtime, flags = site.start()
    limit = ContentLimit(runtime)
    flags.change({"LOG_CONTENT": True, "LOG_CONTENT_MINUTES": 10}, ANA)
    for seconds, on in ((0, True), (599, True), (1, False)):
        runtime.clock.advance(seconds)  # type: ignore[attr-defined]
        limit.look()
        assert runtime.current.settings.LOG_CONTENT is on
    flags.change({"LOG_CONTENT": True}, ANA)
    limit.look()
    assert runtime.current.settings.LOG_CONTENT is True, "the minutes count anew"
    runtime.clock.advance(300)  # type: ignore[attr-defined]
    limit.look()
    another, _ = site.start()
    limit = ContentLimit(another)
    another.clock.advance(runtime.clock.time() - another.clock.time())  # type: ignore[attr-defined]
    for seconds, on in ((0, True), (299, True), (1, False)):
        another.clock.advance(seconds)  # type: ignore[attr-defined]
        limit.look()
        assert another.current.settings.LOG_CONTENT is on, "the end survives a restart"
    (tmp_path / "other").mkdir()
    refused = Site(tmp_path / "other", request_log=RequestLog())
    refused.environ |= site.environ | {"LOG_CONTENT": "true"}
    with pytest.raises(InvalidSettings, match="staging"):
        refused.start()
