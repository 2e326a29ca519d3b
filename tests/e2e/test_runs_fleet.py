"""Runs whose instance ends: killed, or told to stop, in a fleet and alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from e2e.runs_support import KEYS, as_, begin, ended, events, text_of, until_it_speaks
from e2e.serving import BARE, serving

from local_bedrock import LocalBedrock

SAID = "um dois três quatro cinco seis"
SLOW = f"[[say={SAID}]] [[delay=0.5]]"
# Speaks, and then is silent for longer than any of these tests lasts.
HANGS = f"[[say={SAID}]] [[fault=hang_stream]] [[after=2]]"
# As pip would install it: a tool that leaves a trace each time it runs, and is not declared repeatable.
FILING = """
from rom_core.markers import hookimpl
from rom_core.tools import Tool

def file(given, context):
    with open(given["book"], "a") as book:
        book.write(given["name"] + "\\n")
    return "ok"

class Filing:
    @hookimpl
    def rom_tools(self):
        return [Tool("file", "files a petition", {"type": "object"}, file)]
"""
# Longer than a busy machine keeps an instance from renewing its hold.
LEASE_SECONDS = 8


def settings_of(bedrock: LocalBedrock, **more: Any) -> dict[str, Any]:
    """Of every server here: several runs at once, and a short hold."""
    return {
        **BARE,
        "BEDROCK_ENDPOINT_URL": bedrock.url,
        "API_KEYS": ",".join(f"{name}={key}" for name, key in KEYS.items()),
        "BOTTLENECK_LIMITER_ENABLED": "false",
        "RUN_LEASE_SECONDS": LEASE_SECONDS,
        "RUNS_CONCURRENT": 5,
        **more,
    }


@pytest.fixture
def filing(tmp_path: Path) -> dict[str, Any]:
    """Settings of a server that has the tool."""
    site = tmp_path / "site"
    info = site / "filing-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "filing.py").write_text(FILING)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: filing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rom.plugins]\nfiling = filing:Filing\n")
    return {"PYTHONPATH": site, "FILING_ENABLED": "true"}


def with_tool(book: Path, name: str, rest: str) -> str:
    """What makes the model ask for it once."""
    return f'[[tools=1]] [[tool=file]] [[input={{"book": "{book}", "name": "{name}"}}]] {rest} {name}'


def test_the_runs_of_an_instance_that_is_killed_go_on_elsewhere(
    bedrock: LocalBedrock, postgres_url: str, filing: dict[str, Any], tmp_path: Path
) -> None:
    """Ten runs, five of them with a tool that must not run twice: it has not, and those are interrupted.

    The others begin again, their text is taken back, and whoever reads on has one whole answer. Before that one more
    was cancelled from the other instance.
    """
    book = tmp_path / "book"
    settings = settings_of(bedrock, STATE_URL=postgres_url, RUNS_CONCURRENT=11, **filing)
    with serving(**settings) as dying:
        plain = [begin(dying, f"{HANGS} [[times=1]] {number}")["run_id"] for number in range(5)]
        guarded = [begin(dying, with_tool(book, f"g{number}", f"{HANGS} [[at=2]]"))["run_id"] for number in range(5)]
        other = begin(dying, f"{HANGS} other")["run_id"]
        for run_id in (*plain, *guarded, other):
            until_it_speaks(dying, run_id)
        with serving(**settings) as living:
            seen = {run_id: until_it_speaks(living, run_id) for run_id in plain}
            cancel = requests.post(f"{living.url}/api/runs/{other}/cancel", headers=as_("ana"), timeout=60)
            assert cancel.json()["state"] in ("running", "cancelled")
            assert ended(living, other)["state"] == "cancelled"
            assert [line["run_id"] for line in dying.events("run.finished")] == [other]
            dying.process.kill()
            dying.wait()
            runs = {run_id: ended(living, run_id, seconds=60) for run_id in plain + guarded}
            for run_id in guarded:
                assert (runs[run_id]["state"], runs[run_id]["error"]["code"]) == ("interrupted", "run_interrupted")
                assert events(living, run_id)[-1][1:] == ("error", runs[run_id]["error"])
            for run_id in plain:
                read = seen[run_id] + events(living, run_id, seen[run_id][-1][0])
                assert [data for _, name, data in read if name == "restart"] == [
                    {"reason": "instance_lost", "length": 0}
                ]
                assert text_of(read) == runs[run_id]["answer"]["reply"] == SAID
                assert [event_id for event_id, _, _ in read] == [f"{run_id}:{n + 1}" for n in range(len(read))]
            assert len(living.events("run.taken_over", 10)) == 10
    assert sorted(book.read_text().split()) == [f"g{number}" for number in range(5)]


@pytest.mark.parametrize("how", ["kill", "term"])
def test_the_next_start_goes_on_with_the_runs_of_a_single_instance(
    bedrock: LocalBedrock, tmp_path: Path, how: str
) -> None:
    """SQLite, killed: once its hold has lapsed. Told to stop: at once, and nobody waits for them.

    What is said in a conversation that is kept is in it once.
    """
    settings = settings_of(bedrock, STATE_DIR=tmp_path / "state", RUNS_CONCURRENT=1)
    with serving(**settings) as server:
        texts = (f"{HANGS} [[times=1]] {how}", f"[[say={SAID}]] oi")
        accepted = [begin(server, text, store=True) for text in texts]
        run_ids = [each["run_id"] for each in accepted]
        until_it_speaks(server, run_ids[0])
        if how == "kill":
            server.process.kill()
        else:
            server.signal()
        server.wait()
    with serving(**settings) as server:
        for run_id in run_ids:
            run, read = ended(server, run_id, seconds=60), events(server, run_id)
            assert (run["state"], text_of(read), run["answer"]["reply"]) == ("done", SAID, SAID)
            assert [event_id for event_id, _, _ in read] == [f"{run_id}:{n + 1}" for n in range(len(read))]
        assert sorted(line["attempt"] for line in server.events("run.started", 2)) == [1, 2]
        url = f"{server.url}/api/conversations/{accepted[0]['conversation_id']}"
        messages = requests.get(url, headers=as_("ana"), timeout=60).json()["messages"]
        assert [(each["role"], each["text"]) for each in messages] == [("user", texts[0]), ("assistant", SAID)]


def test_a_run_that_cannot_begin_again_ends_before_its_server_does(
    bedrock: LocalBedrock, tmp_path: Path, filing: dict[str, Any]
) -> None:
    """SIGTERM: the server waits for it, as for a turn."""
    settings = settings_of(bedrock, STATE_DIR=tmp_path / "state", **filing)
    with serving(**settings) as server:
        run_id = begin(server, with_tool(tmp_path / "book", "once", SLOW))["run_id"]
        until_it_speaks(server, run_id)
        server.signal()
        assert server.wait() == 0
        assert [line["state"] for line in server.events("run.finished")] == ["done"]
    assert (tmp_path / "book").read_text().split() == ["once"]
