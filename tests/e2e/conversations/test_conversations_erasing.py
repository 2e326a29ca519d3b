"""What is kept of a person: encrypted, exported, and in no file once it is erased."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from cryptography.fernet import Fernet
from e2e.conversing import BOTH, as_, ask, listed, read, slow_turn, texts
from e2e.serving import RomServer, serving

from local_bedrock import LocalBedrock
from rom_core.settings.keys import content_keys


@BOTH
def test_content_is_encrypted_with_the_key_of_the_environment(kept: dict[str, str], tmp_path: Path) -> None:
    """Nothing of it is in any file; another key refuses the start, a new one in front of the old one does not."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    with serving(**kept, CONTENT_KEY=old) as server:
        mine = ask(server, "[[say=resposta-marcada]] pergunta-marcada", store=True)["conversation_id"]
        assert all(
            mark not in path.read_bytes()
            for path in (tmp_path / "state").rglob("*")
            if path.is_file()
            for mark in (b"pergunta-marcada", b"resposta-marcada")
        )
    with pytest.raises(AssertionError, match="CONTENT_KEY does not hold"), serving(**kept, CONTENT_KEY=new):
        pass
    with serving(**kept, CONTENT_KEY=f"{new},{old}") as server:
        assert texts(read(server, mine).json())[1] == ("assistant", "resposta-marcada")
        ask(server, "[[say=ok]] mais", conversation_id=mine)
    with pytest.raises(AssertionError, match="CONTENT_KEY does not hold"), serving(**kept, CONTENT_KEY=new):
        pass


def test_when_it_is_erased_a_text_is_in_no_file_also_while_a_turn_runs(
    kept: dict[str, str], tmp_path: Path, bedrock: LocalBedrock
) -> None:
    """Titles, files, summaries and what a running turn has claimed: neither at the 204 nor when that turn has ended.

    Of the folder of the server's state; the good copy never held it. The files of a PostgreSQL are its own.
    """
    file = base64.b64encode(b"arquivo-marcado " * 100).decode()
    attached = [{"name": "marcado.txt", "data": f"data:text/plain;base64,{file}"}]
    with serving(**kept, **ADMIN, CONVERSATION_CONTEXT_SHARE=0.1) as server:
        mine, theirs = (
            ask(server, f"[[say=resposta-marcada]] pergunta-marcada {'x' * 80_000}", store=True, user=user)[
                "conversation_id"
            ]
            for user in ("ana", "maria")
        )
        for user, conversation_id in (("ana", mine), ("maria", theirs)):
            bedrock.script("[[say=resumo-marcado]]")
            more = {"conversation_id": conversation_id, "user": user, "attachments": attached}
            assert ask(server, "[[say=ok]] e isto?", **more)["compacted"] is True
        url = f"{server.url}/api/conversations/{mine}"
        titled = {"title": "título-marcado", "user": "ana"}
        assert requests.patch(url, headers=as_("ana"), json=titled, timeout=60).status_code == 200
        texts_kept = (b"pergunta-marcada", b"arquivo-marcado", b"resumo-marcado", "título-marcado".encode())
        assert all(any(text in each for each in contents(tmp_path)) for text in texts_kept)
        marked = "[[say=segunda-marcada a b]] [[delay=1]] mais-marcada"
        with slow_turn(server, bedrock, marked, conversation_id=mine, user="ana"):
            assert requests.delete(url, headers=as_("ana"), params={"user": "ana"}, timeout=60).status_code == 204
        with slow_turn(server, bedrock, marked, conversation_id=theirs, user="maria"):
            done = rom(server, "erase", "--user", "maria", "--yes", "--reason", "art. 18")
            assert done.stdout.strip() == "1 conversations erased, none left", done
            assert not any(b"-marcad" in each for each in contents(tmp_path))
        assert not any(b"-marcad" in each for each in contents(tmp_path))


def contents(tmp_path: Path) -> list[bytes]:
    """Of every file in the state folder."""
    return [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]


ADMIN = {"ADMIN_TOKEN": "ops=token-of-the-operator"}


def rom(server: RomServer, *words: str) -> subprocess.CompletedProcess[str]:
    """`rom conversations …` against a server, with its admin token."""
    environ = {"PATH": os.environ["PATH"], "ROM_URL": server.url, "ROM_ADMIN_TOKEN": "token-of-the-operator"}
    command = [sys.executable, "-m", "rom_core", "conversations", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@BOTH
def test_everything_of_a_person_is_exported_and_erased(kept: dict[str, str], tmp_path: Path) -> None:
    """Under whichever key it was said, files included, and nothing of anybody else's; both are in the log."""
    file = {"name": "um.txt", "data": "data:text/plain;base64," + base64.b64encode(b"texto do arquivo " * 100).decode()}
    with serving(**kept, **ADMIN) as server:
        ask(server, "[[say=ok]] primeiro", store=True, user="maria", attachments=[file])
        ask(server, "[[say=ok]] segundo", "rui", store=True, user="maria")
        other = ask(server, "[[say=ok]] de outro", store=True, user="joão")["conversation_id"]
        output = tmp_path / "maria.json"
        done = rom(server, "export", "--user", "maria", "--output", str(output))
        assert (done.returncode, done.stdout.startswith("2 conversations with 2 turns")) == (0, True), done
        assert output.stat().st_mode & 0o077 == 0
        exported = json.loads(output.read_text())["conversations"]
        assert [each["key_name"] for each in exported] == ["ana", "rui"]
        (content,) = exported[0]["turns"][0]["files"].values()
        assert base64.b64decode(content) == b"texto do arquivo " * 100
        assert "segundo" in json.dumps(exported[1]["turns"][0]["messages"])
        again = rom(server, "export", "--user", "maria", "--output", str(output))
        assert (again.returncode, "is there already" in again.stderr) == (1, True)
        one = rom(server, "erase", "--user", "maria", "--key-name", "rui", "--yes", "--reason", "art. 18")
        assert one.stdout.startswith("1 conversations erased"), one
        done = rom(server, "erase", "--user", "maria", "--yes", "--reason", "art. 18")
        assert (done.returncode, done.stdout.strip()) == (0, "1 conversations erased, none left")
        assert listed(server, user="maria")["conversations"] == []
        assert read(server, other, user="joão").status_code == 200
    assert [(line["by"], line["why"]) for line in server.events("conversations.erased")] == [("ops", "art. 18")] * 2
    assert len(server.events("conversation.exported")) == 2
    assert not any("primeiro" in line or "maria" in line for line in server.lines)


def test_a_key_of_ones_own_does_not_open_the_admin_routes(kept: dict[str, str]) -> None:
    """Everything of a person is for administrators."""
    with serving(**kept, **ADMIN) as server:
        for path in ("/admin/conversations?user=maria", "/admin/conversations/conv_1"):
            assert requests.get(server.url + path, headers=as_("ana"), timeout=60).status_code == 401


def test_a_new_key_is_one_that_the_server_takes() -> None:
    """And `rom conversations new-key` asks no server."""
    command = [sys.executable, "-m", "rom_core", "conversations", "new-key"]
    key = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    assert content_keys(key) == [key]
