"""Answers that are not those of a server of ours, JSON or not: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import responses
from click.testing import CliRunner

from rom_core.cli import main

ANY = re.compile(r"http://one\.test/.*")
SHAPES = {
    "an empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"hello"',
    "members of other types": (
        b'{"rollout": 3, "flags": [1], "versions": {"a": 1}, "changed": 7, "plugins": "x", "turns": []}'
    ),
    "half of one of ours": (
        b'{"rollout": {}, "durable": true, "flags": {"A": {}}, "versions": [{}], "changed": {"A": 1}}'
    ),
    "too deep": b"[" * 100_000,
    "a number of 5,000 digits": b'{"version": ' + b"9" * 5000 + b"}",
    "bytes": b"\xff\xfe\x00",
    "not a number": b'{"rollout": NaN, "turns": NaN}',
}
ADMIN = [
    ["flags"],
    ["flags", "list", "--all"],
    ["flags", "set", "MAX_TOKENS=7"],
    ["flags", "history"],
    ["flags", "rollback", "1"],
    ["flags", "approve", "p1"],
    ["flags", "status"],
    ["canary", "status"],
    ["canary", "abort"],
    ["canary", "start", "MAX_TOKENS=7"],
    ["cost"],
]


def named(arguments: list[str]) -> str:
    """The command, for the test's id."""
    return " ".join(arguments)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arguments", ADMIN, ids=named)
def test_an_answer_of_another_shape_is_one_sentence(arguments: list[str], shape: str) -> None:
    """With the address, and exit code 2 (1 for what is no JSON): whoever mistyped --url reads that."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST"):
            mock.add(method, ANY, body=SHAPES[shape], content_type="application/json")
        done = CliRunner().invoke(main, arguments, env={"ROM_URL": "http://one.test", "ROM_ADMIN_TOKEN": "t" * 40})
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (1, 2)
    (last,) = done.stderr.splitlines()
    assert "http://one.test/admin/" in last
    assert "is no ROM Agent" in last or "is it a ROM Agent" in last


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [200, 503])
def test_the_chat_says_it_too(shape: str, status: int) -> None:
    """Whether it is an answer, or stands where the reason of a refusal should be."""
    event = b"event: done\ndata: " + SHAPES[shape] + b"\n\n"
    with responses.RequestsMock() as mock:
        mock.post("http://one.test/api/chat", status=status, body=event if status == 200 else SHAPES[shape])
        done = CliRunner().invoke(main, ["chat", "Oi"], env={"ROM_URL": "http://one.test", "ROM_API_KEY": "k" * 40})
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == (2 if status == 200 else 1)
    assert "http://one.test/api/chat" in done.stderr


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "arguments",
    [
        ["gate", "--prometheus", "http://one.test", "--window", "60"],
        ["gate", "--url", "http://one.test", "--window", "0.02s", "--interval", "0.01s"],
        ["load", "--url", "http://one.test"],
        ["release-check", "--skip-tests", "--url", "http://one.test", "--prometheus", "http://one.test"],
        ["deploy", "status", "--service", "srv-a1"],
        ["deploy", "start", "a" * 40, "--service", "srv-a1"],
    ],
    ids=named,
)
def test_no_other_command_shows_a_traceback(
    arguments: list[str], shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says in its own words and with its own exit code that it cannot go on."""
    monkeypatch.chdir(tmp_path)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST"):
            mock.add(method, re.compile("https?://.*"), body=SHAPES[shape], content_type="application/json")
        done = CliRunner().invoke(main, arguments, env={"RENDER_API_KEY": "k" * 40, "ROM_ADMIN_TOKEN": "t" * 40})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in ((0,) if (arguments[1], shape) == ("status", "a list") else (1, 2))
