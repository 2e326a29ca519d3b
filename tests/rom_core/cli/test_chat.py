"""`rom chat`: where the key goes, and what a person reads when there is no answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from chat_support import DONE, PROBLEM, URL, event
from click.testing import CliRunner, Result

from rom_core.cli import main


@pytest.fixture
def network() -> Iterator[responses.RequestsMock]:
    """No socket is opened; every answer that was prepared is asked for."""
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


def rom_chat(key: str = "") -> Result:
    """One question; whatever goes wrong must not be a traceback."""
    result = CliRunner().invoke(main, ["chat", "oi", "--url", URL], env={"ROM_API_KEY": key})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def answers(network: responses.RequestsMock, body: str, **options: Any) -> None:
    """Prepare the answer to the question."""
    network.post(f"{URL}/api/chat", body=body, **options)


def test_the_key_goes_to_the_server(network: responses.RequestsMock) -> None:
    """As a bearer token, without the line end of the file it may have come from."""
    answers(network, event("delta", {"text": "sim"}) + event("done", DONE))
    result = rom_chat("key-0123\n")
    assert (result.exit_code, result.stdout) == (0, "sim\n")
    assert network.calls[0].request.headers["Authorization"] == "Bearer key-0123"


def test_without_a_key_none_is_looked_for_elsewhere(
    network: responses.RequestsMock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that ~/.netrc keeps for this host is not sent."""
    (tmp_path / "netrc").write_text("machine rom.test login ana password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    answers(network, event("done", DONE))
    assert rom_chat().exit_code == 0
    assert "Authorization" not in network.calls[0].request.headers


def test_a_key_that_cannot_be_sent_is_named_and_not_shown() -> None:
    """Nothing is sent, and the message says which variable holds it."""
    result = rom_chat("chavé secreta")
    assert result.exit_code == 1
    assert "ROM_API_KEY holds characters that a token cannot have" in result.stderr
    assert "secreta" not in result.output


def test_a_conversation_keeps_its_id_and_what_was_said(network: responses.RequestsMock) -> None:
    """The server tells the id with the first answer; a question that failed is told, counts at the end, and leaves no
    trace in the next one.
    """
    network.get(f"{URL}/v1/models", json={"data": []})
    answers(network, event("done", DONE))
    network.post(f"{URL}/api/chat", body=json.dumps(PROBLEM | {"code": "overloaded"}), status=503)
    answers(network, event("done", DONE | {"reply": "certo"}))
    result = CliRunner().invoke(main, ["chat", "--url", URL], input="um\n\n dois\ntrês\n")
    assert (result.exit_code, result.stdout) == (1, "sim\ncerto\n"), result.output
    assert "A fila está cheia." in result.stderr
    sent = [json.loads(call.request.body or "") for call in network.calls if call.request.method == "POST"]
    said = [{"role": "user", "content": "um"}, {"role": "assistant", "content": "sim"}]
    assert [(body.get("conversation_id"), body["message"], body.get("messages")) for body in sent] == [
        (None, "um", None),
        ("conv-1", "dois", said),
        ("conv-1", "três", said),
    ]


def test_an_interrupt_ends_the_answer_and_not_the_conversation(network: responses.RequestsMock) -> None:
    """Whoever has read enough asks on, in the same conversation; outside of one it ends the command."""

    def interrupted(_request: Any) -> Any:
        raise KeyboardInterrupt

    network.get(f"{URL}/v1/models", json={"data": []})
    answers(network, event("done", DONE))
    network.add_callback("POST", f"{URL}/api/chat", interrupted)
    answers(network, event("done", DONE))
    network.add_callback("POST", f"{URL}/api/chat", interrupted)
    result = CliRunner().invoke(main, ["chat", "--url", URL], input="um\ndois\ntrês\n")
    assert (result.exit_code, "[aviso: interrompida]" in result.stderr) == (1, True)
    last = json.loads(network.calls[-1].request.body or "")
    assert [message["content"] for message in last["messages"]] == ["um", "sim"]
    assert rom_chat().exit_code == 130


def test_what_a_terminal_obeys_is_not_shown(network: responses.RequestsMock) -> None:
    """A quoted document cannot clear the screen, retitle the window or write over a line; text stays as it is."""
    text = "a\x1b]0;t\x07b\x1b[2Jc\rd\x9b31me\x7f\nção 😀 שלום"
    answers(network, event("delta", {"text": text}) + event("done", DONE))
    assert rom_chat().stdout == "a]0;tb[2Jcd31me\nção 😀 שלום\n"


def test_a_terminal_without_a_character_shows_a_question_mark(network: responses.RequestsMock) -> None:
    """An ASCII terminal reads the answer; there is no traceback in its place."""
    answers(network, event("delta", {"text": "não"}) + event("done", DONE))
    result = CliRunner(charset="ascii").invoke(main, ["chat", "oi", "--url", URL])
    assert (result.exit_code, result.stdout) == (0, "n?o\n")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_is_told_in_the_persons_words(network: responses.RequestsMock, streamed: bool) -> None:
    """First the sentence for the person, then what an engineer asks for; before the first event or in mid-stream."""
    if streamed:
        answers(network, event("delta", {"text": "um"}) + event("error", PROBLEM))
    else:
        answers(network, json.dumps(PROBLEM), status=503, content_type="application/problem+json")
    result = rom_chat()
    assert result.exit_code == 1
    said = "Error: A fila está cheia.\nqueue_full (HTTP 503, request req-1): every place is taken\n"
    assert result.stderr == ("[aviso: a resposta parou aqui]\n" if streamed else "") + said
    assert result.stdout == ("um\n" if streamed else "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"body": "<html>", "status": 502}, "HTTP 502 from"),
        ({"body": "[]", "status": 502}, "HTTP 502 from"),
        ({"body": "event: start\ndata: nothing\n\n"}, "is no ROM Agent"),
        ({"body": event("start", {})}, "ended in the middle of the answer"),
        ({"body": "", "status": 301, "headers": {"Location": "https://rom.test/api/chat"}}, "redirects to https:"),
        ({"body": requests.ConnectionError("refused")}, "no server answers at http://rom.test;"),
        ({"body": requests.ReadTimeout("late")}, "the request failed: late"),
    ],
)
def test_whatever_answers_there_is_no_traceback(
    network: responses.RequestsMock, options: dict[str, Any], words: str
) -> None:
    """Another server, a proxy's page, a redirect that would lose the question, or nobody."""
    answers(network, **options)
    result = rom_chat()
    code = 2 if words == "is no ROM Agent" else 1
    assert (result.exit_code, words in result.stderr) == (code, True), result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"json": PROBLEM | {"status": 401, "code": "unauthorized"}, "status": 401}, "taken from ROM_API_KEY"),
        ({"body": requests.ConnectionError("refused")}, "or give --url or ROM_URL"),
    ],
)
def test_a_conversation_that_cannot_be_had_does_not_begin(
    network: responses.RequestsMock, options: dict[str, Any], words: str
) -> None:
    """A missing key or server shows before the first question is typed."""
    network.get(f"{URL}/v1/models", **options)
    result = CliRunner().invoke(main, ["chat", "--url", URL], input="uma pergunta longa\n")
    assert (result.exit_code, words in result.stderr) == (1, True), result.output
    assert "> " not in result.stdout


def test_an_interrupt_at_the_prompt_ends_its_line(
    network: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell's prompt comes on a line of its own."""

    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    network.get(f"{URL}/v1/models", status=404)
    result = CliRunner().invoke(main, ["chat", "--url", URL])
    assert (result.exit_code, result.stderr) == (130, "\n")


def test_the_help_names_the_variables() -> None:
    """Of the address and of the key."""
    shown = CliRunner().invoke(main, ["chat", "--help"]).output
    assert "ROM_URL" in shown
    assert "ROM_API_KEY" in shown
