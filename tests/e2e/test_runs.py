"""Turns that outlive their connection, in real servers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet
from e2e.runs_support import KEYS, as_, begin, ended, events, parsed, read_in_pieces, state, text_of, until_it_speaks
from e2e.serving import RomServer, serving, serving_with, until

from local_bedrock import LocalBedrock
from rom_core.gate import Window, parse


def settings_of(bedrock: LocalBedrock) -> dict[str, Any]:
    """Of every server here: two keys."""
    return {
        "BEDROCK_ENDPOINT_URL": bedrock.url,
        "API_KEYS": ",".join(f"{name}={key}" for name, key in KEYS.items()),
    }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, bedrock: LocalBedrock) -> Iterator[RomServer]:
    """A server for tests that leave each other alone, with either database."""
    with serving_with(request, **settings_of(bedrock)) as running:
        yield running


def test_a_run_is_accepted_at_once_and_its_answer_is_that_of_a_chat(server: RomServer) -> None:
    """The very same object, by its keys; progress and events say how it came about."""
    message = '[[tools=1]] [[tool=prazo_processual]] [[input={"dias":15}]] oi'
    accepted = begin(server, message)
    run = ended(server, accepted["run_id"])
    assert accepted["events"] == f"/api/runs/{accepted['run_id']}/events"
    assert (run["state"], run["iteration"], run["tools"]) == ("done", 2, ["prazo_processual"])
    plain = server.chat(message, headers=as_("ana")).json()
    answer = run["answer"]
    assert list(answer) == list(plain)
    changing = ("id", "conversation_id", "trace_id", "request_id", "tool_calls", "usage")
    assert {k: v for k, v in answer.items() if k not in changing} == {
        k: v for k, v in plain.items() if k not in changing
    }
    assert (run["usage"], answer["conversation_id"]) == (answer["usage"], accepted["conversation_id"])
    read = events(server, accepted["run_id"])
    assert [name for _, name, _ in read if name != "delta"] == ["start", "tool_call", "tool_result", "done"]
    assert [event_id for event_id, _, _ in read] == [f"{run['id']}:{n + 1}" for n in range(len(read))]
    assert (read[0][2]["run_id"], read[0][2]["id"]) == (run["id"], answer["id"])
    assert (text_of(read), read[-1][2]) == (answer["reply"], answer)


def test_the_gate_counts_a_run_as_it_ended(bedrock: LocalBedrock) -> None:
    """202, and a stream of status 200, say only that it was taken: one that fails is a failed turn, followed or not."""
    window = Window(60)
    with serving(**settings_of(bedrock), RETRY_ENABLED=False, FALLBACK_ENABLED=False) as server:

        def figures() -> tuple[float, float]:
            window.add(parse(server.get("/metrics").text, time.monotonic()))
            return window.figures.turns.get("ok", 0), window.figures.turns.get("error", 0)

        figures()
        good, bad = begin(server, "oi"), begin(server, "[[fault=500]] oi")
        read = parsed(server.chat("[[fault=500]] oi", headers=as_("ana"), background=True, stream=True).text)
        assert read[-1][1] == "error"
        assert [ended(server, run["run_id"])["state"] for run in (good, bad)] == ["done", "failed"]
        assert until(lambda: figures() == (1, 2))


def test_a_stream_of_a_run_goes_on_when_its_client_leaves(server: RomServer) -> None:
    """And the rest is read from where it was."""
    body = {"message": "[[say=um dois três quatro cinco seis]] [[delay=0.2]]", "background": True, "stream": True}
    response = requests.post(f"{server.url}/api/chat", json=body, headers=as_("ana"), stream=True, timeout=60)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    seen = b""
    for piece in response.iter_content(None):
        seen += piece
        if b"event: delta" in seen:
            break
    response.close()
    first = parsed(seen.decode("utf-8", "ignore"))
    run_id = first[0][2]["run_id"]
    rest = events(server, run_id, first[-1][0])
    run = ended(server, run_id)
    assert run["state"] == "done"
    assert text_of(first + rest) == run["answer"]["reply"]
    assert len({event_id for event_id, _, _ in first + rest}) == len(first + rest)


def test_a_reader_who_has_it_all_is_told_that_there_is_no_more(server: RomServer) -> None:
    """204, so that a browser's EventSource stops; another run's id is refused; `after` does for Last-Event-ID."""
    run_id = begin(server, "[[say=ok]] oi")["run_id"]
    ended(server, run_id)
    read = events(server, run_id)
    url = f"{server.url}/api/runs/{run_id}/events"
    for after, status in ((read[-1][0], 204), ("99", 204), ("run_other:1", 422), ("x", 422), (read[0][0], 200)):
        answer = requests.get(url, params={"after": after}, headers=as_("ana"), timeout=60)
        assert answer.status_code == status, after
    assert parsed(requests.get(url, params={"after": "1"}, headers=as_("ana"), timeout=60).text) == read[1:]
    assert requests.head(url, headers=as_("ana"), timeout=60).status_code == 200


def test_streams_that_are_cut_at_any_byte_and_read_on_lose_nothing_and_repeat_nothing(server: RomServer) -> None:
    """500 cuts with each database, of runs that run and of runs that have ended: the text is the whole answer's."""
    chance = random.Random(21)
    live = [begin(server, "[[length=300]] [[delay=0.01]] ação")["run_id"] for _ in range(2)]
    cuts = 0
    read = {run_id: read_in_pieces(server, run_id, chance) for run_id in live}
    while (cuts := cuts + sum(each for _, each in read.values())) < 500 or read:
        for run_id, (got, _) in read.items():
            assert [event_id for event_id, _, _ in got] == [f"{run_id}:{n + 1}" for n in range(len(got))]
            assert text_of(got) == ended(server, run_id)["answer"]["reply"]
            assert len(got) > 8
        read = {run_id: read_in_pieces(server, run_id, chance) for run_id in live} if cuts < 500 else {}


def test_nobody_else_sees_a_run_or_learns_that_there_is_one(server: RomServer) -> None:
    """Another key, another user of the same key, a guess: the same 404 for every method."""
    run_id = begin(server, "[[say=ok]] segredo", user="u1")["run_id"]
    assert until(lambda: state(server, run_id, user="u1")["state"] == "done")
    for who, user, id_ in (("rui", "u1", run_id), ("ana", "u2", run_id), ("ana", "", run_id), ("ana", "u1", "run_x")):
        params = {"user": user} if user else {}
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/cancel")):
            url = f"{server.url}/api/runs/{id_}{path}"
            answer = requests.request(method, url, headers=as_(who), params=params, timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")
    assert state(server, run_id, user="u1")["state"] == "done"


def test_the_list_is_the_owners_newest_first_in_pages(server: RomServer) -> None:
    """A page ends where the next one begins."""
    ids = [begin(server, f"[[say=ok]] {n}", user="lista")["run_id"] for n in range(5)]
    seen: list[str] = []
    before: dict[str, str] = {}
    while True:
        params = {"user": "lista", "limit": "2"} | before
        page = requests.get(f"{server.url}/api/runs", headers=as_("ana"), params=params, timeout=60).json()
        seen += [run["id"] for run in page["runs"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == list(reversed(ids))


def test_a_run_is_cancelled_while_it_runs_and_while_it_waits(server: RomServer) -> None:
    """A run that waits at once, one that runs before its model has ended; both end their streams with an error."""
    long = [begin(server, "[[say=a b c d e f g h i j]] [[delay=3]] oi", user="x")["run_id"] for _ in range(3)]
    assert until(lambda: [state(server, each, user="x")["state"] for each in long] == ["running", "running", "queued"])
    for run_id in reversed(long):
        url = f"{server.url}/api/runs/{run_id}/cancel"
        assert requests.post(url, headers=as_("ana"), params={"user": "x"}, timeout=60).status_code == 200
    assert until(lambda: all(state(server, each, user="x")["state"] == "cancelled" for each in long))
    for run_id in long:
        assert state(server, run_id, user="x")["error"]["code"] == "cancelled"
    again = requests.post(url, headers=as_("ana"), params={"user": "x"}, timeout=60)
    assert again.json()["state"] == "cancelled"


def test_who_reads_along_does_not_stand_behind_long_work(server: RomServer) -> None:
    """A run that is streamed begins while the exhaustive slots are taken and another run waits for one."""
    long = [begin(server, "[[say=a b c d e f g h i j]] [[delay=3]] oi", user="y")["run_id"] for _ in range(3)]
    assert until(lambda: [state(server, each, user="y")["state"] for each in long] == ["running", "running", "queued"])
    body = {"message": "[[say=já]] oi", "background": True, "stream": True}
    read = parsed(requests.post(f"{server.url}/api/chat", json=body, headers=as_("ana"), timeout=60).text)
    assert (text_of(read), read[-1][1]) == ("já", "done")
    assert [state(server, each, user="y")["state"] for each in long] == ["running", "running", "queued"]
    for run_id in reversed(long):
        url = f"{server.url}/api/runs/{run_id}/cancel"
        assert requests.post(url, headers=as_("ana"), params={"user": "y"}, timeout=60).status_code == 200
    assert until(lambda: all(state(server, each, user="y")["state"] == "cancelled" for each in long))


def test_a_run_in_a_conversation_is_kept_in_it_and_keeps_others_out(server: RomServer) -> None:
    """Another turn, and another run, are 409 until it has ended, by itself or because it was cancelled."""
    held = begin(server, "[[say=um dois três]] [[fault=hang_stream]] [[after=2]] oi", store=True)
    until_it_speaks(server, held["run_id"])
    other = {"conversation_id": held["conversation_id"], "headers": as_("ana")}
    for busy in (server.chat("e?", **other), server.chat("e?", background=True, **other)):
        assert (busy.status_code, busy.json()["code"]) == (409, "conversation_busy")
    assert state(server, held["run_id"])["state"] == "running"
    requests.post(f"{server.url}/api/runs/{held['run_id']}/cancel", headers=as_("ana"), timeout=60)
    assert ended(server, held["run_id"])["state"] == "cancelled"
    assert until(lambda: server.chat("[[say=ok]] e?", **other).status_code == 200)
    said = "[[say=um dois três quatro cinco]] oi"
    accepted = begin(server, said, store=True)
    conversation_id = accepted["conversation_id"]
    ended(server, accepted["run_id"])
    url = f"{server.url}/api/conversations/{conversation_id}"
    kept = requests.get(url, headers=as_("ana"), timeout=60).json()["messages"]
    assert [(each["role"], each["text"]) for each in kept] == [
        ("user", said),
        ("assistant", "um dois três quatro cinco"),
    ]
    second = begin(server, "[[say=ok]] e agora?", conversation_id=conversation_id)
    assert ended(server, second["run_id"])["answer"]["conversation_id"] == conversation_id


def test_a_failure_ends_a_run_with_its_problem(server: RomServer, bedrock: LocalBedrock) -> None:
    """The problem that the answer would have been, as `error` and as the last event."""
    run_id = begin(server, "[[fault=400]] oi")["run_id"]
    run = ended(server, run_id)
    assert (run["state"], run["error"]["code"]) == ("failed", "upstream_refused")
    assert events(server, run_id)[-1][1:] == ("error", run["error"])


def test_a_full_queue_refuses_a_run_before_it_is_accepted(bedrock: LocalBedrock) -> None:
    """503 queue_full; nothing of it is kept."""
    with serving(**settings_of(bedrock), RUNS_QUEUE_MAX=1, MAX_CONCURRENT_EXHAUSTIVE=1) as server:
        first = begin(server, "[[fault=hang]] um")["run_id"]
        assert until(lambda: state(server, first)["state"] == "running")
        begin(server, "[[say=ok]] dois")
        refused = server.chat("três", headers=as_("ana"), background=True)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert int(refused.headers["Retry-After"]) > 0
        assert len(requests.get(f"{server.url}/api/runs", headers=as_("ana"), timeout=60).json()["runs"]) == 2


def test_what_is_erased_is_in_no_file_and_what_is_kept_is_sealed(bedrock: LocalBedrock, tmp_path: Path) -> None:
    """A run of its own, one in a conversation that is erased, and all of a person; CONTENT_KEY seals what there is."""
    folder = tmp_path / "state"
    settings = settings_of(bedrock) | {"STATE_DIR": folder, "ADMIN_TOKEN": "ops=token-of-the-operator"}

    def in_files(text: str) -> bool:
        return any(text.encode() in each.read_bytes() for each in folder.iterdir() if each.is_file())

    with serving(**settings) as server:
        alone = begin(server, "[[say=SEGREDO-UM]] SEGREDO-UM")
        kept = begin(server, "[[say=SEGREDO-DOIS]] SEGREDO-DOIS", store=True)
        persons = begin(server, "[[say=SEGREDO-TRES]] SEGREDO-TRES", user="maria")
        for run in (alone, kept):
            ended(server, run["run_id"])
        assert until(lambda: state(server, persons["run_id"], user="maria")["state"] == "done")
        assert all(in_files(f"SEGREDO-{number}") for number in ("UM", "DOIS", "TRES"))
        admin = {"Authorization": "Bearer token-of-the-operator"}
        exported = requests.get(f"{server.url}/admin/runs/{persons['run_id']}", headers=admin, timeout=60).json()
        assert (exported["user"], exported["events"][-1][0]) == ("maria", "done")
        for path in (f"/api/runs/{alone['run_id']}", f"/api/conversations/{kept['conversation_id']}"):
            assert requests.delete(server.url + path, headers=as_("ana"), timeout=60).status_code == 204
        erase = {"action": "erase", "user": "maria"}
        done = requests.post(f"{server.url}/admin/conversations", json=erase, headers=admin, timeout=60).json()
        assert done["left"] == 0
        assert until(lambda: not any(in_files(f"SEGREDO-{number}") for number in ("UM", "DOIS", "TRES")))
        gone = requests.get(f"{server.url}/api/runs/{kept['run_id']}", headers=as_("ana"), timeout=60)
        assert (gone.status_code, gone.json()["code"]) == (404, "run_not_found")
        listed = requests.get(f"{server.url}/admin/runs", headers=admin, params={"user": "maria"}, timeout=60).json()
        assert listed["ids"] == []
    assert not any("SEGREDO" in line for line in server.lines)
    with serving(**settings, CONTENT_KEY=Fernet.generate_key().decode()) as server:
        run_id = begin(server, "[[say=SEGREDO-QUATRO]] SEGREDO-QUATRO")["run_id"]
        assert ended(server, run_id)["answer"]["reply"] == "SEGREDO-QUATRO"
        assert text_of(events(server, run_id)) == "SEGREDO-QUATRO"
        assert not in_files("SEGREDO-QUATRO")


def test_with_the_plugin_off_a_run_is_refused_and_a_chat_is_not(bedrock: LocalBedrock) -> None:
    """404 plugin_disabled; a turn without `background` is as ever."""
    with serving(**settings_of(bedrock), RUNS_ENABLED="false") as server:
        refused = server.chat("oi", headers=as_("ana"), background=True)
        assert (refused.status_code, refused.json()["code"]) == (404, "plugin_disabled")
        assert server.chat("[[say=ok]] oi", headers=as_("ana")).status_code == 200
        listed = requests.get(f"{server.url}/api/runs", headers=as_("ana"), timeout=60)
        assert (listed.status_code, listed.json()["code"]) == (404, "plugin_disabled")
