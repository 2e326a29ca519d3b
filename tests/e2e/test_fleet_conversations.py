"""One conversation and two instances, or one that dies: whose turn it is, and what is kept of what was said."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from e2e.conversing import as_, ask, read, settings_of, texts, without_marks
from e2e.fleet import Fleet, fleet
from e2e.serving import RomServer, serving, until

from local_bedrock import LocalBedrock
from plugins.conversations.keeping import LEASE_SECONDS

SLOW = "[[length=400]] [[delay=0.1]] longa"


@pytest.fixture(scope="module")
def two(request: pytest.FixtureRequest, bedrock: LocalBedrock) -> Iterator[tuple[Fleet, str]]:
    """Two instances, and their database."""
    postgres = request.getfixturevalue("postgres")
    name = postgres.database()
    url = postgres.url(name)
    with fleet(url, url, **settings_of(bedrock)) as running:
        yield running, url
    postgres.drop(name)


@pytest.fixture(autouse=True)
def _forgetful(bedrock: LocalBedrock) -> None:
    """What other tests asked the model is forgotten."""
    bedrock.reset()


@contextmanager
def running_turn(server: RomServer, bedrock: LocalBedrock, conversation_id: str) -> Iterator[list[int]]:
    """A turn of 40 seconds in a thread, which streams; in the list, its status, or 0 if its instance died."""
    ended: list[int] = []

    def talk() -> None:
        body = {"message": SLOW, "conversation_id": conversation_id, "stream": True}
        try:
            answer = requests.post(f"{server.url}/api/chat", json=body, headers=as_("ana"), timeout=60)
            ended.append(answer.status_code)
        except requests.RequestException:
            ended.append(0)

    thread = threading.Thread(target=talk, daemon=True)
    before = len(bedrock.requests)
    thread.start()
    assert until(lambda: len(bedrock.requests) > before)
    yield ended
    thread.join(60)


def busy(server: RomServer, conversation_id: str) -> bool:
    """Whether a turn is refused because another one runs."""
    answer = server.chat("[[say=ok]] e?", headers=as_("ana"), conversation_id=conversation_id)
    assert answer.status_code in (200, 409), answer.text
    return bool(answer.status_code == 409 and answer.json()["code"] == "conversation_busy")


def let_lease_pass(url: str) -> None:
    """As if so much time had passed since the dead instance renewed it last."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        earlier = {"seconds": LEASE_SECONDS}
        connection.execute(sa.text("UPDATE conversations_kept SET busy_until = busy_until - :seconds"), earlier)
    engine.dispose()


def test_a_turn_on_one_instance_makes_the_conversation_busy_on_the_other(
    two: tuple[Fleet, str], bedrock: LocalBedrock
) -> None:
    """409 until it has ended; then the other goes on from the bytes that the first one sent."""
    first, second = two[0].servers
    mine = ask(first, "[[say=um]] primeira", store=True)["conversation_id"]
    answers: list[dict[str, Any]] = []
    slow = "[[say=a b c d e f]] [[delay=2]] segunda"
    thread = threading.Thread(target=lambda: answers.append(ask(first, slow, conversation_id=mine)))
    thread.start()
    assert until(lambda: len(bedrock.requests) == 2)
    assert busy(second, mine)
    thread.join(60)
    assert answers[0]["reply"] == "a b c d e f"
    ask(second, "[[say=três]] terceira", conversation_id=mine)
    before, after = (without_marks(each.body["messages"]) for each in bedrock.requests[-2:])
    assert after[: len(before)] == before
    assert texts(read(first, mine).json())[1::2] == [("assistant", text) for text in ("um", "a b c d e f", "três")]


def test_an_erasure_at_one_instance_holds_for_the_turn_that_runs_at_the_other(
    two: tuple[Fleet, str], bedrock: LocalBedrock
) -> None:
    """The turn is answered, and nothing of it is in any table, nor does the conversation come back."""
    first, second = two[0].servers
    mine = ask(first, "[[say=um]] primeira", store=True)["conversation_id"]
    answers: list[dict[str, Any]] = []
    slow = "[[say=resposta-marcada a b c]] [[delay=0.3]] pergunta-marcada"
    file = {"name": "marcada.txt", "data": "data:text/plain;base64," + "bWFyY2FkYSAt" * 200}
    thread = threading.Thread(
        target=lambda: answers.append(ask(first, slow, conversation_id=mine, attachments=[file])), daemon=True
    )
    thread.start()
    assert until(lambda: len(bedrock.requests) == 2)
    url = f"{second.url}/api/conversations/{mine}"
    assert requests.delete(url, headers=as_("ana"), timeout=60).status_code == 204
    thread.join(60)
    assert answers[0]["reply"].startswith("resposta-marcada")
    assert read(first, mine).status_code == 404
    engine = sa.create_engine(two[1])
    with engine.connect() as connection:
        for table in ("kept", "turns", "files", "summaries"):
            column = "id" if table == "kept" else "conversation_id"
            counted = sa.text(f"SELECT count(*) FROM conversations_{table} WHERE {column} = :id")
            assert connection.execute(counted, {"id": mine}).scalar() == 0, table
    engine.dispose()


def test_a_conversation_goes_on_elsewhere_after_its_instance_was_killed(
    two: tuple[Fleet, str], bedrock: LocalBedrock
) -> None:
    """Once the lease has run out; the question and what was said of the answer are kept, and marked as cut."""
    first, second = two[0].servers
    mine = ask(first, "[[say=um]] primeira", store=True)["conversation_id"]
    with running_turn(first, bedrock, mine) as ended:
        # It is kept as it comes, every five seconds.
        assert until(lambda: len(read(second, mine).json()["messages"]) == 4)
        first.process.kill()
        first.wait()
    assert ended == [0]
    assert busy(second, mine)
    let_lease_pass(two[1])
    ask(second, "[[say=fim]] terceira", conversation_id=mine)
    messages = read(second, mine).json()["messages"]
    assert [(each["role"], each["state"]) for each in messages[2:]] == [
        *[("user", "cut"), ("assistant", "cut")],
        *[("user", "whole"), ("assistant", "whole")],
    ]
    said = messages[3]["text"]
    assert said
    sent = bedrock.requests[-1].body["messages"]
    assert [each["role"] for each in sent] == ["user", "assistant"] * 2 + ["user"]
    assert sent[3]["content"] == [{"text": said}]


def test_a_conversation_goes_on_after_the_only_instance_was_killed(tmp_path: Path, bedrock: LocalBedrock) -> None:
    """The same with SQLite, from the process that is started next."""
    settings = settings_of(bedrock) | {"STATE_DIR": str(tmp_path)}
    with serving(**settings) as server:
        mine = ask(server, "[[say=um]] primeira", store=True)["conversation_id"]
        with running_turn(server, bedrock, mine):
            server.process.kill()
            server.wait()
    # However long the start takes, the lease has not run out when it is asked.
    _hold_for(tmp_path, 3600)
    with serving(**settings) as server:
        assert busy(server, mine)
        _hold_for(tmp_path, -3600 - LEASE_SECONDS)
        ask(server, "[[say=fim]] terceira", conversation_id=mine)
        messages = read(server, mine).json()["messages"]
    assert [(each["role"], each["state"]) for each in messages] == [
        *[("user", "whole"), ("assistant", "whole")],
        ("user", "cut"),
        *[("user", "whole"), ("assistant", "whole")],
    ]


def _hold_for(folder: Path, seconds: float) -> None:
    """As if the dead process had claimed for so much longer."""
    (path,) = folder.glob("*.db")
    with closing(sqlite3.connect(path, timeout=60)) as connection, connection:
        connection.execute("UPDATE conversations_kept SET busy_until = busy_until + ?", [seconds])
