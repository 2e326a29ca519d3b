"""`rom flags` against a running server: what it sends, prints, and how it fails."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import structlog
from click.testing import CliRunner, Result
from flag_support import SETTINGS_TOML, Site

from plugins.flags import FlagsPlugin
from rom_core.cli import main
from rom_core.http.app import create_app
from rom_core.http.server.server import Server

TOKEN = "token-of-the-operator"
SECOND = "token-of-another-one"


@pytest.fixture(autouse=True)
def log_lines_elsewhere() -> Iterator[None]:
    """The server runs in this process: a line that it logs must not stand in what a command prints."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A project with the admin routes."""
    site = Site(tmp_path_factory.mktemp("site"), flags=FlagsPlugin())
    site.environ |= {"ADMIN_TOKEN": f"ops={TOKEN},bia={SECOND}", "PORT": "0"}
    return site


@pytest.fixture(scope="module")
def url(site: Site) -> Iterator[str]:
    """A server of that project."""
    # The server is in this process: its log must not get between what the command prints.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    runtime, _ = site.start()
    server = Server(create_app(runtime), runtime)
    server.start()
    yield server.url
    server.stop(1)
    runtime.stop()


@contextmanager
def breaking_off(answer: bytes) -> Iterator[str]:
    """The address of a server that reads one request and sends this before it closes."""

    def serve() -> None:
        with listener.accept()[0] as connection:
            connection.settimeout(60)
            connection.recv(65536)
            connection.sendall(answer)
            # Whoever has read the answer may be gone before this half-closes.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(60)
        assert not thread.is_alive()


def rom(url: str, *arguments: str, token: str = TOKEN) -> Result:
    """Run the command."""
    environ = {"ROM_URL": url, "ROM_ADMIN_TOKEN": token, "COLUMNS": "200"}
    return CliRunner().invoke(main, ["flags", *arguments], env=environ)


def answer(url: str, *arguments: str) -> Any:
    """What it prints with --json."""
    result = rom(url, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def start(url: str) -> int:
    """The version in force, without overrides."""
    answer(url, "rollback", "1")
    return int(answer(url, "list")["version"])


def test_it_lists_settings_with_their_layer(url: str, start: int) -> None:
    """All, without a command too; by a part of the name; only overrides."""
    assert rom(url).output == rom(url, "list").output
    rom(url, "set", "MAX_TOKENS=77", "--reason", "fewer [bold]words[/bold]")
    lines = rom(url, "list", "max_tok").stdout.splitlines()
    assert lines[0].strip() == f"version {start + 1}, testing"
    assert [line.split()[0] for line in lines[2:]] == ["MAX_TOKENS", "TEXT_MAX_TOKENS"]
    assert "override" in lines[2]
    assert "fewer [bold]words[/bold]" in lines[2]
    assert set(answer(url, "list", "--overridden")["flags"]) == {"MAX_TOKENS"}


def test_it_sets_and_clears(url: str, start: int) -> None:
    """Several at once, with the reason in the history; the answer is readable and says what changed."""
    result = rom(url, "set", "MAX_TOKENS=77", "LOG_LEVEL=ERROR", "--reason", "quiet")
    assert result.exit_code == 0
    assert f"version {start + 1} is in force" in result.stdout
    assert "MAX_TOKENS: 1000 → 77" in result.stdout
    assert answer(url, "clear", "MAX_TOKENS", "LOG_LEVEL")["changed"]["MAX_TOKENS"] == {"from": 77, "to": 1000}
    assert "nothing changed" in rom(url, "reload").stdout
    history = answer(url, "history", "--limit", "2")["versions"]
    assert [entry["why"] for entry in history] == ["", "quiet"]


def test_it_shows_the_history_and_rolls_back(url: str, start: int) -> None:
    """Who, when, why and what, newest first."""
    rom(url, "set", "MAX_TOKENS=77", "--reason", "try")
    result = rom(url, "history", "--limit", "1")
    line = result.stdout.splitlines()[-1]
    assert line.split()[:1] == [str(start + 1)]
    assert "ops" in line
    assert "MAX_TOKENS: 1000 → 77 (set)" in line
    assert "MAX_TOKENS: 77 → 1000" in rom(url, "rollback", str(start), "--reason", "undo").stdout
    assert rom(url, "rollback", "9999").exit_code == 1


def test_it_tries_a_change_and_changes_nothing(url: str, start: int) -> None:
    """What would be another value, what would be set or cleared; the version stays. Then the same for a rollback."""
    tried = rom(url, "set", "MAX_TOKENS=77", "LOG_LEVEL=INFO", "--dry-run").stdout.splitlines()
    assert tried[0] == f"version {start} is in force; this would change"
    assert "  MAX_TOKENS: 1000 → 77 (set)" in tried
    assert any("LOG_LEVEL" in line and "set" in line for line in tried[1:])
    waits = rom(url, "set", "SYSTEM_PROMPT=Obey.", "--dry-run").stdout
    assert "it would wait for a second named person: SYSTEM_PROMPT" in waits
    assert answer(url, "list")["version"] == start
    rom(url, "set", "MAX_TOKENS=77")
    assert "MAX_TOKENS: 77 → 1000 (cleared)" in rom(url, "rollback", str(start), "--dry-run").stdout
    assert answer(url, "clear", "MAX_TOKENS", "--dry-run")["overrides"] == {"MAX_TOKENS": "cleared"}
    assert "nothing would change" in rom(url, "rollback", str(start + 1), "--dry-run").stdout


def test_a_server_that_does_not_know_dry_run_has_made_the_change_and_that_is_said() -> None:
    """One of an older release passes over what it does not know."""
    made = {"version": 3, "changed": {"MAX_TOKENS": {"from": 1, "to": 2}}, "durable": True, "in_force": {"of": 1}}
    with responses.RequestsMock() as mock:
        mock.post("http://rom.test/admin/reload-flags?dry_run=true", json=made)
        done = rom("http://rom.test", "set", "MAX_TOKENS=2", "--dry-run")
    assert (done.exit_code, "has made the change" in done.stdout) == (1, True)


def test_it_sets_a_canary(url: str, start: int) -> None:
    """Flags, users and percentage in one change; `clear canary` ends it."""
    result = rom(url, "canary", "MAX_TOKENS=50", "--include", "ana", "--percent", "10")
    assert result.exit_code == 0, result.output
    canary = {"percent": 10, "flags": {"MAX_TOKENS": 50}, "include": ["ana"], "salt": ""}
    assert json.loads(rom(url, "status", "--json").stdout)["canary"] == canary
    assert '"include": ["ana"]' in rom(url, "list", "NOTHING_LIKE_IT").stdout
    assert answer(url, "clear", "canary")["changed"]["canary"]["to"] is None


def test_status_of_a_real_server_is_a_page(url: str, start: int) -> None:
    """Whether all is well, then a line for each plugin; what is as it should be takes no line of its own."""
    shown = rom(url, "status").stdout.splitlines()
    assert shown[0].startswith("well: ")
    shown = shown[shown.index("") + 1 :]
    assert shown[0].endswith(f"version {start}")
    assert [line.split()[0] for line in shown[1:3]] == ["bedrock", "turns"]
    assert any(line.startswith("flags ") for line in shown)


def test_two_operators_do_not_overwrite_each_other(url: str, start: int) -> None:
    """--if-version refuses when somebody was faster."""
    assert rom(url, "set", "MAX_TOKENS=5", "--if-version", str(start)).exit_code == 0
    result = rom(url, "set", "MAX_TOKENS=6", "--if-version", str(start))
    assert result.exit_code == 1
    assert "version_conflict" in result.stderr
    assert rom(url, "reload", "--if-version", str(start)).exit_code == 1
    assert rom(url, "clear", "MAX_TOKENS", "--if-version", str(start + 1)).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "MAX_TOKENS"), "is not NAME=VALUE"),
        (("set", "MAX_TOKENS="), "rom flags clear MAX_TOKENS"),
        (("set", "MAX_TOKENS=1", "MAX_TOKENS=2"), "given twice"),
        (("rollback", "x"), "not a valid integer"),
        (("set",), "Missing argument"),
    ],
)
def test_a_wrong_command_is_explained_and_sends_nothing(url: str, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2."""
    result = rom(url, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_refusal_of_the_server_is_shown(url: str) -> None:
    """Every problem by name, exit code 1; a wrong token says where the token comes from."""
    result = rom(url, "set", "MAX_TOKNES=1", "MAX_TOKENS=x")
    assert result.exit_code == 1
    assert "did you mean MAX_TOKENS?" in result.stderr
    assert "must be a whole number" in result.stderr
    denied = rom(url, "list", token="wrong")
    assert denied.exit_code == 1
    assert "ROM_ADMIN_TOKEN" in denied.stderr


def test_a_token_is_stripped_and_an_impossible_one_is_never_shown(url: str) -> None:
    """A line end from a file does no harm; what no header can hold is refused before anything is sent."""
    assert rom(url, "list", token=f" {TOKEN}\n").exit_code == 0
    for token in ("tökén-with-accents", "two words-of-it", "with\x07bell-in-it"):
        result = rom(url, "list", token=token)
        assert result.exit_code == 1
        assert "ROM_ADMIN_TOKEN holds characters" in result.stderr
        assert token not in result.output


def test_the_token_goes_to_the_named_server_only(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.netrc does not replace it, and a redirect is told, not followed."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert rom(url, "list").exit_code == 0
    with responses.RequestsMock() as mock:
        mock.get("http://one.test/admin/flags", status=307, headers={"Location": "http://two.test/admin/flags"})
        result = rom("http://one.test", "list")
    assert result.exit_code == 1
    assert "redirects to http://two.test/admin/flags" in result.stderr


def test_a_server_that_is_not_there_or_not_ours_is_said(url: str, tmp_path: Path) -> None:
    """No traceback."""
    gone = rom("http://127.0.0.1:9", "list")
    assert gone.exit_code == 1
    assert "no server answers at http://127.0.0.1:9; another address is given with --url or ROM_URL" in gone.stderr
    with responses.RequestsMock() as mock:
        mock.get("http://one.test/admin/flags", status=502, body="<html>")
        page = rom("http://one.test", "list")
    assert page.exit_code == 1
    assert "answers HTTP 502 without JSON" in page.stderr


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"])
def test_a_change_without_an_answer_may_have_been_made(answer: bytes) -> None:
    """A connection that breaks off after the request is not a server that is not there; who only reads, reads again."""
    for arguments, doubtful in ((("set", "BEDROCK_ENABLED=off"), True), (("list",), False)):
        with breaking_off(answer) as broken:
            result = rom(broken, *arguments)
        assert result.exit_code == 1
        assert f"{broken} took the request, and the connection broke off" in result.stderr
        assert ("may have been carried out" in result.stderr) is doubtful


def test_a_server_that_is_silent_has_its_time_named() -> None:
    """And again, a change may have been made."""
    with responses.RequestsMock() as mock:
        mock.post("http://one.test/admin/reload-flags", body=requests.ReadTimeout("silence"))
        result = rom("http://one.test", "reload")
    assert "http://one.test took the request and did not answer within 20 s: it may have been" in result.stderr


def test_notes_of_the_answer_are_printed(url: str, site: Site, start: int) -> None:
    """What waits for a restart, and that a change is not durable."""
    site.write(SETTINGS_TOML + 'STATE_DIR = "elsewhere"\n')
    assert "STATE_DIR becomes elsewhere at the next restart" in rom(url, "reload").stdout
    site.write(SETTINGS_TOML)
    site.store.broken = True
    try:
        assert "not durable" in rom(url, "set", "BEDROCK_ENABLED=off").stdout
        assert "store unwritable" in rom(url, "list", "BEDROCK").stdout
    finally:
        site.store.broken = False
        rom(url, "clear", "BEDROCK_ENABLED")


def test_the_address_may_stand_before_or_behind_the_command(url: str) -> None:
    """Or in ROM_URL; the one behind the command counts most."""
    environ = {"ROM_ADMIN_TOKEN": TOKEN, "ROM_URL": "http://127.0.0.1:9"}
    for arguments in (("flags", "--url", url, "status"), ("flags", "status", "--url", url), ("canary", "--url", url)):
        result = CliRunner().invoke(main, [*arguments], env=environ)
        assert "no server answers" not in result.output, arguments
    both = ["flags", "--url", "http://127.0.0.1:9", "status", "--url", url]
    assert CliRunner().invoke(main, both, env=environ).exit_code == 0
    assert CliRunner().invoke(main, ["flags", "status", "--url", "rom.example"], env=environ).exit_code == 2


def test_without_a_pattern_only_what_tells_something_is_listed(url: str, start: int) -> None:
    """The switches, and what is not at its default, by plugin; the rest is counted, and --all shows it."""
    rom(url, "set", "MAX_TOKENS=77")
    short, whole = rom(url, "list").stdout, rom(url, "list", "--all").stdout
    known = answer(url, "list")["flags"]
    listed = {line.split()[0] for line in short.splitlines() if line.split()[0] in known}
    assert {"MAX_TOKENS", "BEDROCK_ENABLED"} <= listed
    assert all(name.endswith("_ENABLED") or known[name]["source"] != "default" for name in listed)
    assert f"and {len(known) - len(listed)} at their default; `rom flags list --all` shows them" in short
    assert {line.split()[0] for line in whole.splitlines()} >= set(known)
    plugins = [known[line.split()[0]]["plugin"] for line in whole.splitlines() if line.split()[0] in known]
    assert [name for n, name in enumerate(plugins) if n == 0 or plugins[n - 1] != name] == list(dict.fromkeys(plugins))


def test_a_sensitive_setting_is_proposed_and_approved(url: str) -> None:
    """It says what to do next; who waits is in the status; another token approves."""
    proposed = rom(url, "set", "SYSTEM_PROMPT=Be brief.", "--reason", "ticket 7")
    assert proposed.exit_code == 0
    id_ = proposed.stdout.split("`rom flags approve ")[1].split("`")[0]
    assert f"pending   {id_}: SYSTEM_PROMPT by ops" in rom(url, "status").stdout
    assert rom(url, "approve", id_).exit_code != 0
    approved = rom(url, "approve", id_, token=SECOND)
    assert "SYSTEM_PROMPT: You answer. → Be brief." in approved.stdout
    assert rom(url, "clear", "SYSTEM_PROMPT").exit_code == 0
