"""Nothing that a server, a commit or a model wrote gets through to be obeyed by a terminal."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import responses
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.cli import main
from rom_core.cli.console import Console, add_row, table
from rom_core.cli.terminal import clean, json_text

CLI = Path(__file__).parents[3] / "rom_core/cli"
URL = "http://rom.test"
HOSTILE = "a\x1b]0;title\x07b\x1b[2Jc\x9b31md\u202etxt.exe\u2066e\rf\x7f\u2028g"
OBEYED = "\x1b\x07\x9b\x7f\r\u202e\u2066\u2028"
FLAG = {"value": HOSTILE, "source": "override", "plugin": HOSTILE, "by": HOSTILE, "why": HOSTILE}
LIST: dict[str, Any] = {
    "version": 1,
    "environment": HOSTILE,
    "flags": {f"X{HOSTILE}": FLAG},
    "canary": {"x": HOSTILE},
    "skipped": [{"name": HOSTILE, "message": HOSTILE}],
    "awaiting_restart": {HOSTILE: HOSTILE},
    "store": {"state": HOSTILE, "detail": HOSTILE},
}
CHANGED = {"version": 1, "durable": False, "changed": {HOSTILE: {"from": HOSTILE, "to": HOSTILE, "override": HOSTILE}}}
ENTRY = {"version": 1, "at": HOSTILE, "by": HOSTILE, "why": HOSTILE, "changes": {HOSTILE: {"from": 1, "to": HOSTILE}}}
PROBLEM = {
    "detail": HOSTILE,
    "code": HOSTILE,
    "trace_id": HOSTILE,
    "user_message": HOSTILE,
    "request_id": HOSTILE,
    "status": 500,
}
STATUS: dict[str, Any] = {
    "environment": HOSTILE,
    "release": HOSTILE,
    "version": 1,
    "bedrock_enabled": True,
    "draining": False,
    "admitted": 0,
    "max_admitted": 1,
    "active_turns": 0,
    "pools": {},
    "store": {"state": HOSTILE, "detail": HOSTILE, "durable": True},
    "canary": {"percent": 1, "flags": {HOSTILE: HOSTILE}},
    "observer_errors": [{"plugin": HOSTILE, "count": 1, "hook": HOSTILE}],
    "plugins": [{"name": HOSTILE, "enabled": True, "error": HOSTILE, "status": {HOSTILE: {HOSTILE: HOSTILE}}}],
}
CANARY = {
    "rollout": None,
    "durable": True,
    "trail_problem": HOSTILE,
    "trail": [{"at": HOSTILE, "by": HOSTILE, "action": HOSTILE, "why": HOSTILE, "details": {"percent": HOSTILE}}],
}


def events(*pairs: tuple[str, dict[str, Any]]) -> str:
    """A stream of Server-Sent Events."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in pairs)


def deploys() -> list[dict[str, Any]]:
    """A list as Render gives it."""
    deploy = {"id": HOSTILE, "status": HOSTILE, "commit": {"id": HOSTILE, "message": HOSTILE}, "createdAt": HOSTILE}
    return [{"deploy": deploy}]


SERVED: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "list": (["flags", "list", "--url", URL], "GET /admin/flags", {"json": LIST}),
    "list --json": (["flags", "list", "--json", "--url", URL], "GET /admin/flags", {"json": LIST}),
    "set": (["flags", "set", "A=1", "--url", URL], "POST /admin/reload-flags", {"json": CHANGED}),
    "refused": (["flags", "set", "A=1", "--url", URL], "POST /admin/reload-flags", {"json": PROBLEM, "status": 422}),
    "redirect": (
        ["flags", "list", "--url", URL],
        "GET /admin/flags",
        {"status": 307, "headers": {"Location": "http://x/\x1b[2J\u202e".encode().decode("latin-1")}},
    ),
    "history": (["flags", "history", "--url", URL], "GET /admin/flags/history", {"json": {"versions": [ENTRY]}}),
    "status": (["flags", "status", "--url", URL], "GET /admin/status", {"json": STATUS}),
    "canary": (["canary", "status", "--url", URL], "GET /admin/canary", {"json": CANARY}),
    "chat": (
        ["chat", "oi", "--url", URL],
        "POST /api/chat",
        {"body": events(("tool_result", {"name": HOSTILE, "status": HOSTILE, "duration_ms": 1}), ("error", PROBLEM))},
    ),
    "chat refused": (["chat", "oi", "--url", URL], "POST /api/chat", {"json": PROBLEM, "status": 503}),
    "gate": (["gate", "--url", URL, "--window", "1m"], "GET /metrics", {"json": PROBLEM, "status": 404}),
}


@pytest.mark.parametrize("name", SERVED)
def test_a_hostile_server_cannot_write_on_the_terminal(name: str) -> None:
    """Whatever command, whatever part of the answer: text stays, what a terminal obeys goes; JSON escapes it."""
    arguments, route, answer = SERVED[name]
    method, path = route.split()
    with responses.RequestsMock() as mock:
        mock.add(method, URL + path, **answer)
        result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.output.strip()
    assert not [character for character in OBEYED if character in result.output], repr(result.output)


def test_a_commit_message_cannot_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render shows what somebody wrote into a commit."""
    with responses.RequestsMock() as mock:
        mock.get("https://api.render.com/v1/services/srv-1/deploys", json=deploys())
        environ = {"RENDER_API_KEY": "k" * 32, "RENDER_SERVICE_ID": "srv-1"}
        result = CliRunner(env=environ).invoke(main, ["deploy", "status"])
    assert result.exit_code == 0, result.output
    assert not set(OBEYED) & set(result.output)


def test_what_a_command_line_quotes_is_cleaned_too() -> None:
    """A wrong argument comes back in the error."""
    for arguments in (["\x1b[2Jnothing"], ["flags", "set", "\x1b[2J\u202e"], ["--\x1b[2J"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert not set(OBEYED) & set(result.output), result.output


@settings(deadline=None)
@given(st.text())
def test_cleaning_keeps_the_rest_and_is_done_once(text: str) -> None:
    """Letters, spaces, tabs, line ends and emoji stay in their order; cleaning twice changes nothing more."""
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    cleaned.encode()
    assert [c for c in text if c.isalnum() or c in "\n\t "] == [c for c in cleaned if c.isalnum() or c in "\n\t "]


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text()))
def test_json_loses_nothing(value: dict[str, str]) -> None:
    """A program reads back what the server answered."""
    text = json_text(value)
    assert clean(text) == text
    assert json.loads(text) == value


def test_a_piped_table_breaks_no_name_and_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow COLUMNS says that the terminal is: there is none, and a line is a row."""
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    rows = table("name", "value", title="t")
    add_row(rows, ("A_LONG_NAME_THAT_A_PROGRAM_LOOKS_FOR", "word " * 60))
    Console().print(rows)
    assert f"A_LONG_NAME_THAT_A_PROGRAM_LOOKS_FOR  {'word ' * 60}".strip() in out.getvalue()
    assert len(out.getvalue().splitlines()) == 3


def _calls(tree: ast.AST, wrong: Callable[[ast.Call], bool]) -> list[int]:
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and wrong(node)]


def test_no_command_prints_past_the_cleaner() -> None:
    """print, click.echo, sys.stdout.write and a console of rich's own stand in terminal.py and console.py alone."""

    def wrong(call: ast.Call) -> bool:
        name = ast.unparse(call.func)
        return name in {"print", "click.echo", "click.secho"} or name.endswith(("stdout.write", "stderr.write"))

    found = []
    for path in sorted(CLI.rglob("*.py")):
        if path.name in {"terminal.py", "console.py"}:
            continue
        tree = ast.parse(path.read_text())
        found += [f"{path.name}:{line}" for line in _calls(tree, wrong)]
        found += [
            f"{path.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "rich.console"
        ]
    assert found == []
