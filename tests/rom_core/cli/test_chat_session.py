"""Commands at the prompt of `rom chat`, and the command line that takes a conversation up again."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from chat_support import DONE, PROBLEM, URL, Shown, event
from click.testing import CliRunner, Result
from responses import matchers

from rom_core.cli import main
from rom_core.cli.chat.conversation import Conversation, Options
from rom_core.cli.chat.history import MAX_BYTES, history_path, prepared
from rom_core.cli.chat.screen import Screen
from rom_core.cli.chat.server import ChatServer
from rom_core.cli.chat.session import COMMANDS, NAMES, Session
from rom_core.concurrency.clock import FakeClock

AT = "2026-11-28T12:00:00.000+00:00"
FILE = {"name": "c.pdf", "kind": "document", "format": "pdf", "bytes": 4321}


CITED = {"name": "c.pdf", "page": 3, "last_page": 3, "quote": "sim"}


def summary(number: int) -> dict[str, Any]:
    """One of a list."""
    return {"id": f"conv_{number}", "title": f"Prazo {number}", "created_at": AT, "updated_at": AT, "turns": 2}


def message(role: str, text: str, **more: Any) -> dict[str, Any]:
    """One of a conversation."""
    return {"role": role, "text": text, "tool_calls": [], "attachments": [], "at": AT, "state": "whole"} | more


def kept(number: int, *messages: dict[str, Any]) -> dict[str, Any]:
    """One with its messages."""
    first = (message("user", "Oi?"), message("assistant", "Olá."))
    return summary(number) | {"messages": [*first, *messages]}


@pytest.fixture
def network() -> Iterator[responses.RequestsMock]:
    """No socket is opened; every answer that was prepared is asked for."""
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


def listing(network: responses.RequestsMock, *numbers: int, more: str | None = None) -> None:
    """The server keeps these."""
    network.get(f"{URL}/api/conversations", json={"conversations": [*map(summary, numbers)], "next": more})


def typed(*lines: str | type[BaseException]) -> str:
    """What is shown when a person types this."""
    shown = Shown(90, 50)
    server = ChatServer(URL, "", "ana")
    conversation = Conversation(server, Screen(shown.console, lambda: 0.0), Options(), FakeClock())
    left = iter([*lines, EOFError])

    def read() -> str:
        line = next(left)
        if isinstance(line, str):
            return line
        raise line

    Session(server, conversation, shown.console).hold(read)
    return shown.text


def rom(*arguments: str, **options: Any) -> Result:
    """The command; whatever goes wrong must not be a traceback."""
    result = CliRunner().invoke(main, ["chat", "--url", URL, *arguments], **options)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_help_names_every_command_and_key() -> None:
    """Also how to leave."""
    text = typed("/help")
    assert all(name in text for name in (*COMMANDS, "Ctrl-C", "Ctrl-D", "Alt-Enter"))
    assert {line.split()[0] for line in COMMANDS} == NAMES


def test_a_command_that_does_not_exist_is_not_asked() -> None:
    """A slip of the finger costs no answer."""
    assert "/hlep não é um comando" in typed("/hlep")


def test_ctrl_c_in_an_empty_line_says_how_to_leave() -> None:
    """And does nothing else."""
    assert typed(KeyboardInterrupt, KeyboardInterrupt).splitlines() == ["Ctrl-D sai; /help mostra os comandos"] * 2


def test_the_list_has_the_numbers_that_resume_takes(network: responses.RequestsMock) -> None:
    """And the last exchange of the one is shown, with its files and how it ended."""
    listing(network, 7, 8, more="x")
    listing(network, 7, 8)
    last = (
        message("user", "E em dobro?", attachments=[FILE]),
        message("assistant", "**Trin", state="cut", citations=[CITED]),
    )
    network.get(f"{URL}/api/conversations/conv_8", json=kept(8, *last))
    network.post(f"{URL}/api/chat", body=event("done", DONE | {"conversation_id": "conv_8"}))
    text = typed("/list", "/resume 2", "E?")
    assert "2   Prazo 8  2       " in text
    assert "há outras, mais antigas que estas 2" in text
    shown = ["Prazo 8 · 2 turnos", "> E em dobro?", "anexo: c.pdf", "**Trin", "Fontes:"]
    shown += ["[1] c.pdf, p. 3: “sim”", "[a resposta parou aqui]", "sim"]
    assert [line for line in text.splitlines() if line][-8:] == shown
    assert "Olá." not in text
    body = json.loads(network.calls[-1].request.body or "")
    assert (body["conversation_id"], body["user"]) == ("conv_8", "ana")
    assert network.calls[0].request.url == f"{URL}/api/conversations?limit=50&user=ana"


def test_an_answer_that_is_still_written_is_followed(network: responses.RequestsMock) -> None:
    """Whoever comes back sees it come; other conversations' runs, and those that have ended, are not looked at."""
    last = (message("user", "E?", state="failed"), message("assistant", "J", state="failed"))
    network.get(f"{URL}/api/conversations/conv_8", json=kept(8, *last))
    states = {"run-1": ("conv_9", "running"), "run-2": ("conv_8", "done"), "run-3": ("conv_8", "queued")}
    runs = [{"id": id_, "conversation_id": kept_in, "state": state} for id_, (kept_in, state) in states.items()]
    network.get(f"{URL}/api/runs", json={"runs": runs, "next": None})
    network.get(f"{URL}/api/runs/run-3/events", body=event("delta", {"text": "Já"}, "run-3:1") + event("done", DONE))
    text = typed("/resume conv_8")
    assert text == "Prazo 8 · 2 turnos\n> E?\na resposta ainda é escrita:\nJá"
    assert network.calls[-1].request.url == f"{URL}/api/runs/run-3/events?user=ana"


def test_new_begins_another_one(network: responses.RequestsMock) -> None:
    """The next question does not go on from the last one."""
    network.post(f"{URL}/api/chat", body=event("done", DONE | {"conversation_id": "conv_8"}))
    network.post(f"{URL}/api/chat", body=event("done", DONE | {"conversation_id": "conv_9"}))
    typed("um", "/new", "dois")
    assert "conversation_id" not in json.loads(network.calls[1].request.body or "")


@pytest.mark.parametrize("choice", ["3", "x", "conv_", "0", "-1"])
def test_what_is_not_in_the_list_is_not_resumed(choice: str) -> None:
    """A number too many, and what is no number."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as network:
        listing(network, 7, 8)
        assert f"não há conversa de número {choice}" in typed(f"/resume {choice}")


def test_attach_tells_the_limits_and_takes_back(tmp_path: Path) -> None:
    """What waits, what may wait, and nothing after `-`; a file that is not there is said."""
    path = tmp_path / "nota.txt"
    path.write_text("oi")
    text = typed(f"/attach {path}", "/attach", "/attach -", f"/attach {tmp_path / 'x'}")
    assert text.count("anexos da próxima mensagem: nota.txt (2 bytes)") == 2
    assert "anexos da próxima mensagem: nenhum" in text
    assert "No such file" in text
    assert " ".join(text.split()).count("até 5 documentos de 4,5 MB e 20 imagens de 3,8 MB") == 1


def test_export_writes_a_new_file_that_only_its_owner_reads(network: responses.RequestsMock, tmp_path: Path) -> None:
    """Of a conversation that is kept all that the server has, files and states too; never over a file."""
    path = tmp_path / "c.md"
    network.post(f"{URL}/api/chat", body=event("done", DONE | {"conversation_id": "conv_8"}))
    last = (message("user", "E?", attachments=[FILE]), message("assistant", "Trin", state="cut", citations=[CITED]))
    network.get(f"{URL}/api/conversations/conv_8", json=kept(8, *last))
    text = typed("/export x.md", "um", f"/export {path}", f"/export {path}", "/export")
    assert "nada foi dito ainda" in text
    assert "já existe" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = path.read_text()
    assert written.startswith("# Prazo 8\n\n## Pergunta (")
    parts = (
        "Oi?",
        "## Resposta (",
        "Olá.",
        "E?",
        "- Anexo: c.pdf (4,3 kB)",
        "Trin",
        "Fontes:",
        "- [1] c.pdf, p. 3",
        "*[a r",
    )
    places = [written.index(part) for part in parts]
    assert places == sorted(places)


def test_a_conversation_that_nobody_keeps_is_exported_too(network: responses.RequestsMock, tmp_path: Path) -> None:
    """From what was said in this session."""
    network.post(f"{URL}/api/chat", body=event("done", DONE))
    typed("um", f"/export {tmp_path / 'c.md'}")
    assert (tmp_path / "c.md").read_text() == "# Conversa\n\n## Pergunta\n\num\n\n## Resposta\n\nsim\n"


def test_an_error_does_not_end_the_conversation(network: responses.RequestsMock) -> None:
    """It is told, and the next message goes out."""
    network.post(f"{URL}/api/chat", body=json.dumps(PROBLEM | {"code": "overloaded"}), status=503)
    network.post(f"{URL}/api/chat", body=event("done", DONE))
    text = typed("um", "dois")
    assert "A fila está cheia." in text
    assert "sim" in text


def test_the_list_in_a_pipe_has_ids(network: responses.RequestsMock) -> None:
    """One row each, for programs; that there are more goes to standard error."""
    listing(network, 7, 8, more="x")
    result = rom("--list")
    assert (result.exit_code, [line.split()[-1] for line in result.stdout.splitlines()]) == (
        0,
        ["id", "conv_7", "conv_8"],
    )
    assert "há outras" in result.stderr


def test_an_empty_list_is_no_failure(network: responses.RequestsMock) -> None:
    """Nothing on standard output; to go on with the last of none is one."""
    listing(network)
    listing(network)
    assert (rom("--list").exit_code, rom("--resume", "oi").exit_code) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["--resume", "E?"], "conv_7"),
        (["E?", "--resume"], "conv_7"),
        (["E?", "--resume", "2"], "conv_8"),
        (["E?", "--resume", "conv_9"], "conv_9"),
        (["--resume=conv_9", "E?"], "conv_9"),
    ],
)
def test_a_question_goes_on_in_the_chosen_conversation(arguments: list[str], chosen: str) -> None:
    """The last one, a number, an id; what is neither is the question itself."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as network:
        listing(network, 7, 8)
        for number in (7, 8, 9):
            network.get(f"{URL}/api/conversations/conv_{number}", json=kept(number))
        wanted = matchers.json_params_matcher({"conversation_id": chosen, "message": "E?"}, strict_match=False)
        network.post(f"{URL}/api/chat", body=event("done", DONE | {"conversation_id": chosen}), match=[wanted])
        result = rom(*arguments)
    assert (result.exit_code, result.stdout) == (0, "sim\n"), result.output


def test_a_run_in_the_background(network: responses.RequestsMock) -> None:
    """Standard output has its id alone; standard error says how to come back."""
    answer = {"run_id": "run-1", "conversation_id": "conv_1", "events": "/api/runs/run-1/events"}
    wanted = matchers.json_params_matcher(
        {"message": "oi", "background": True, "store": True, "mode": "exhaustive"}, strict_match=True
    )
    network.post(f"{URL}/api/chat", json=answer, status=202, match=[wanted])
    result = rom("oi", "--background", "--exhaustive")
    assert (result.exit_code, result.stdout) == (0, "run-1\n"), result.output
    assert "rom chat --run run-1" in result.stderr


def test_a_run_is_shown(network: responses.RequestsMock) -> None:
    """From its beginning; one that failed is exit code 1, one that nobody has too."""
    network.get(f"{URL}/api/runs/run-1/events", body=event("start", {}, "run-1:1") + event("done", DONE, "run-1:2"))
    network.get(f"{URL}/api/runs/run-2/events", body=event("error", PROBLEM, "run-2:1"))
    network.get(f"{URL}/api/runs/run-3/events", json=PROBLEM | {"code": "run_not_found", "status": 404}, status=404)
    results = [rom("--run", f"run-{number}") for number in (1, 2, 3)]
    assert [result.exit_code for result in results] == [0, 1, 1]
    assert results[0].stdout == "sim\n"


def test_a_plugin_that_is_off_is_said(network: responses.RequestsMock) -> None:
    """Where there is nothing to fall back to."""
    off = PROBLEM | {"code": "plugin_disabled", "status": 404, "user_message": "Isto não está ligado aqui."}
    network.get(f"{URL}/api/conversations", json=off, status=404)
    network.post(f"{URL}/api/chat", json=off, status=404)
    for arguments in (["--list"], ["oi", "--background"]):
        result = rom(*arguments)
        assert (result.exit_code, "Isto não está ligado aqui." in result.stderr) == (1, True), result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--list", "oi"],
        ["--run", "run-1", "oi"],
        ["--run", "../x"],
        ["--background"],
        ["--resume", "--no-store"],
        ["--resume", "E?", "oi"],
    ],
)
def test_what_contradicts_itself_is_asked_for_wrongly(arguments: list[str]) -> None:
    """Exit code 2, before anything is sent."""
    assert rom(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/api/conversations", ["--list"]),
        ("/api/conversations/conv_1", ["oi", "--resume", "conv_1"]),
        ("/api/runs/run-1/events", ["--run", "run-1"]),
    ],
)
@pytest.mark.parametrize("body", ["<html>", "[]", '{"conversations": 1}', "event: done\ndata: {}\n\n"])
def test_another_server_is_recognised(
    network: responses.RequestsMock, path: str, arguments: list[str], body: str
) -> None:
    """No traceback, and nothing is tried again; exit code 2."""
    network.get(URL + path, body=body)
    assert rom(*arguments).exit_code == 2


def test_the_history_is_its_owners_alone(tmp_path: Path) -> None:
    """In the state folder of the user, mode 0600 whatever it was before, and bounded: the newest stays."""
    path = history_path({"XDG_STATE_HOME": str(tmp_path)})
    assert path == tmp_path / "rom-agent/chat_history"
    assert prepared(path)
    assert not prepared(path)
    path.chmod(0o644)
    entry: Callable[[int], str] = "\n# 2026\n+pergunta {}\n".format
    path.write_text("".join(map(entry, range(20_000))))
    assert not prepared(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert len(text) < MAX_BYTES
    assert text.endswith(entry(19_999))
    assert text.startswith("\n# 2026\n+pergunta ")


def test_the_history_follows_no_link(tmp_path: Path) -> None:
    """Nothing is written where somebody else has laid one."""
    path = history_path({"XDG_STATE_HOME": str(tmp_path)})
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        prepared(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_relative_state_folder_is_none() -> None:
    """As the XDG base directory specification says."""
    assert history_path({"XDG_STATE_HOME": "here"}) == Path.home() / ".local/state/rom-agent/chat_history"
