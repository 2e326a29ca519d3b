"""`rom chat` in a real terminal against a real server: keys, the line that moves, and what stays on the screen."""

from __future__ import annotations

import re
import socketserver
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.serving import RomServer, serving, until
from pty_support import CTRL_C, CTRL_D, ENTER, ESCAPE, UP, TerminalRun, in_terminal

from local_bedrock import LocalBedrock

NUMBER = "0001234-08.2023.8.26.0100"
NEW_LINE = ESCAPE + ENTER
WELCOME = "Ctrl-D sai; /help mostra os comandos"


class _Slow(socketserver.BaseRequestHandler):
    """DataJud on a bad day."""

    enough = threading.Event()

    def handle(self) -> None:
        """Say nothing, and hang up when it is enough."""
        self.enough.wait(60)


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """Everything on, as in development; DataJud takes as long as a test lets it, and fails."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Slow) as datajud:
        threading.Thread(target=datajud.serve_forever, daemon=True).start()
        with serving(
            BEDROCK_ENDPOINT_URL=bedrock.url,
            RETRY_BACKOFF_SECONDS="[0.01]",
            DATAJUD_URL=f"http://127.0.0.1:{datajud.server_address[1]}",
            DATAJUD_API_KEY="none",
        ) as running:
            yield running
        _Slow.enough.set()
        datajud.shutdown()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's home directory."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def environ(server: RomServer, home: Path) -> dict[str, str]:
    """What the command finds around it."""
    return {"ROM_URL": server.url, "HOME": str(home)}


@pytest.fixture(scope="module")
def terminal(environ: dict[str, str]) -> Iterator[TerminalRun]:
    """One conversation in which the tests below follow each other."""
    with in_terminal("chat", environ=environ, rows=40) as run:
        run.at_prompt()
        yield run


def ask(terminal: TerminalRun, message: str, *shown: str) -> str:
    """Type it, and wait for the prompt after the answer; what was shown since then."""
    before = len(terminal.shown)
    terminal.type(message + ENTER)
    assert until(lambda: all(text in terminal.shown[before:] for text in shown)), terminal.shown
    return terminal.at_prompt()[before:]


def test_it_says_where_the_history_is_and_how_to_leave(terminal: TerminalRun, home: Path) -> None:
    """The first start only: what is typed is content."""
    assert "o que você digita fica em" in terminal.shown
    assert WELCOME in terminal.shown
    assert stat.S_IMODE((home / ".local/state/rom-agent/chat_history").stat().st_mode) == 0o600


def test_a_tool_is_named_in_words_while_it_runs(terminal: TerminalRun) -> None:
    """The line that moves counts the seconds; the answer stands there without its Markdown."""
    before = len(terminal.shown)
    terminal.type(f'[[tool=consulta_processo]][[input={{"numero": "{NUMBER}"}}]][[say=Segue **em curso**.]]{ENTER}')
    # Of a command that stalls meanwhile, a later second is the first that is seen.
    assert until(lambda: re.search("consultando DataJud… [1-9][0-9]* s", terminal.raw.decode(errors="replace")))
    _Slow.enough.set()
    assert until(
        lambda: all(text in terminal.shown[before:] for text in ("\nSegue em curso.", "[modelo de demonstração"))
    ), terminal.shown
    text = terminal.at_prompt()[before:]
    took = re.search(r"\[consultando DataJud: falhou, (\d+),\d s\]", text)
    assert took is not None, text
    assert int(took[1]) >= 1


def test_several_lines_are_one_message(terminal: TerminalRun, bedrock: LocalBedrock) -> None:
    """Alt-Enter, or Esc and Enter, does not send."""
    ask(terminal, f"[[say=sim]]{NEW_LINE}segunda{NEW_LINE}terceira", "\nsim")
    sent = bedrock.requests[-1].body["messages"][-1]["content"]
    assert [block["text"] for block in sent if "text" in block] == ["[[say=sim]]\nsegunda\nterceira"]


def test_ctrl_c_stops_the_answer_and_arrow_up_brings_it_back(terminal: TerminalRun, bedrock: LocalBedrock) -> None:
    """What there is stays, marked; the model is not read any further; the conversation goes on from there."""
    question = "[[length=3000]][[delay=0.02]]"
    terminal.type(question + ENTER)
    assert until(lambda: "o processo segue" in terminal.shown), terminal.shown
    terminal.type(CTRL_C)
    text = terminal.until("[interrompida: o texto acima ficou pela metade]")
    assert "o processo segue" in text
    assert until(lambda: not bedrock.active)
    terminal.at_prompt()
    terminal.type(UP)
    assert until(lambda: terminal.shown.endswith(f"> {question}"))
    terminal.type(CTRL_C)
    ask(terminal, "[[say=de novo]]", "\nde novo")


def test_ctrl_c_at_an_empty_prompt_says_how_to_leave(terminal: TerminalRun) -> None:
    """And leaves nothing and nobody."""
    before = terminal.shown.count(WELCOME)
    terminal.type(CTRL_C)
    assert until(lambda: terminal.shown.count(WELCOME) == before + 1), terminal.shown
    terminal.at_prompt()
    assert terminal.process.poll() is None


def test_what_the_model_took_back_is_gone_from_the_terminal(terminal: TerminalRun, bedrock: LocalBedrock) -> None:
    """The answer stands there once, whole, although the model broke off in its last paragraph and began again."""
    said = f"[[say=Primeiro parágrafo.{NEW_LINE}{NEW_LINE}Segundo.{NEW_LINE}{NEW_LINE}Terceiro.]]"
    before = len(bedrock.requests)
    text = ask(terminal, f"{said}[[fault=cut]][[after=20]][[times=1]][[delay=0.02]]", "\nTerceiro.\n")
    answer = text.rpartition("[[delay=0.02]]")[2]
    assert [answer.count(part) for part in ("Primeiro parágrafo.", "Segundo.", "Terceiro.")] == [1, 1, 1]
    assert "desconsidere" not in answer
    assert len(bedrock.requests) == before + 2


def test_what_is_typed_meanwhile_waits_for_the_prompt(terminal: TerminalRun) -> None:
    """It does not show in the middle of an answer, and is not lost."""
    before = len(terminal.raw)
    terminal.type("[[length=200]][[delay=0.02]]" + ENTER)
    assert until(lambda: "escrevendo… ".encode() in terminal.raw[before:])
    terminal.type("logo mais")
    assert until(lambda: terminal.shown.endswith("> logo mais")), terminal.shown
    assert terminal.shown.count("logo mais") == 1
    terminal.type(CTRL_C)


def test_ctrl_d_leaves_and_the_conversation_can_be_taken_up(terminal: TerminalRun, environ: dict[str, str]) -> None:
    """Exit code 0; another start shows the last exchange and remembers what was typed."""
    ask(terminal, "[[say=até logo]]", "\naté logo")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    with in_terminal("chat", "--resume", environ=environ) as again:
        text = again.at_prompt()
        assert "> [[say=até logo]]\naté logo" in text
        assert "o que você digita fica em" not in text
        again.type(UP)
        assert until(lambda: again.shown.endswith("> [[say=até logo]]")), again.shown
        again.type(CTRL_C + CTRL_D)
        assert again.wait() == 0


def test_one_question_in_a_terminal(environ: dict[str, str]) -> None:
    """Ctrl-C is exit code 130."""
    with in_terminal("chat", "[[length=3000]][[delay=0.02]]", "--no-store", environ=environ) as run:
        assert until(lambda: "escrevendo… " in run.shown), run.shown
        run.type(CTRL_C)
        assert run.wait() == 130
        assert "[interrompida: o texto acima ficou pela metade]" in run.shown


def test_in_a_pipe_there_is_text_and_nothing_else(environ: dict[str, str]) -> None:
    """No colours, nothing that moves, each paragraph once although the model broke off; marks on standard error."""
    question = "[[say=Um **só**.]][[fault=cut]][[after=5]][[times=1]]"
    done = subprocess.run(
        [sys.executable, "-m", "rom_core", "chat", question],
        env=environ,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.decode()) == (0, "Um **só**.\n"), done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert "[aviso: modelo de demonstração" in done.stderr.decode()
