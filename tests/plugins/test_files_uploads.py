"""POST /api/files and `file_id`: what is taken, what is refused, and how much at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from documents_support import docx, encrypted_pdf, image
from files_support import PDF, SECRET, SETTINGS, Process
from structlog.testing import capture_logs
from support import make_runtime, says

from plugins.files import Files
from plugins.files.routes import MAX_UPLOADS
from rom_core.concurrency.body_room import LIMIT_BYTES, RESERVED_BYTES, SMALL_BYTES
from rom_core.errors import StoreUnavailable
from rom_core.settings import texts


@pytest.fixture
def in_memory() -> Iterator[Process]:
    """A process without a store."""
    plugin = Files()
    runtime, transport = make_runtime(says("lido"), plugins={"files": plugin}, **SETTINGS)
    yield Process(runtime, plugin, transport)
    plugin.rom_stop()


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "a.pdf", "attachment_empty"),
        (docx(), "a.pdf", "attachment_mislabelled"),
        (PDF[:300], "a.pdf", "attachment_broken"),
        (encrypted_pdf(), "a.pdf", "attachment_encrypted"),
        (b"<svg/>", "a.svg", "attachment_type"),
        (b"x" * 4_500_001, "a.txt", "document_too_large"),
        (image("PNG", (8001, 1)), "a.png", "image_too_many_pixels"),
        (PDF, "x" * 300 + ".pdf", "attachment_name"),
        (PDF, "a\x07.pdf", "attachment_name"),
    ],
)
def test_it_is_refused_as_an_attachment_is(in_memory: Process, data: bytes, name: str, code: str) -> None:
    """Before it is kept, with the same sentence."""
    if code == "attachment_type":
        answer = in_memory.upload(("file", (name, data, "image/svg+xml")))
    else:
        answer = in_memory.upload(("file", (name, data)))
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert answer.json["error"]["param"] == "file"
    assert answer.json["user_message"] == texts.ERRORS[code]
    assert in_memory.plugin.keeper.erase_expired(float("inf")) == 0


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [("file", "no file name")],
        [("file", ("", b""))],
        [("file", ("a.txt", b"x")), ("file", ("b.txt", b"y"))],
        [("other", ("a.txt", b"x"))],
        [("file", ("a.txt", b"x")), ("purpose", "x")],
    ],
)
def test_a_form_has_one_file_and_nothing_else(in_memory: Process, parts: list[Any]) -> None:
    """Whoever sends more believes that more is heeded."""
    answer = in_memory.upload(*parts)
    assert answer.status_code == 422, answer.text
    assert in_memory.plugin.keeper.erase_expired(float("inf")) == 0


def test_only_a_form_is_taken(in_memory: Process) -> None:
    """415 for JSON."""
    assert in_memory.ask("POST", "/api/files", json={"data": "x"}).status_code == 415


def test_an_attachment_is_either_data_or_a_file_id(in_memory: Process) -> None:
    """Neither and both are the caller's mistakes; a name beside an id replaces that of the upload."""
    file_id = in_memory.upload(("file", ("a.txt", b"x"))).json["id"]
    for wrong in ({"name": "a.txt"}, {"file_id": file_id, "data": "eA=="}, {"data": "eA=="}):
        answer = in_memory.chat(wrong)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert in_memory.chat({"file_id": file_id, "name": "contrato.txt"}).status_code == 200
    assert in_memory.transport.requests[0]["messages"][-1]["content"][0]["document"]["name"] == "contrato"


def test_files_by_their_id_are_read_once_and_bounded_together() -> None:
    """As many bytes as a body may have, however often they are named."""
    plugin = Files()
    runtime, transport = make_runtime(
        says("lido"), plugins={"files": plugin}, **SETTINGS, MAX_ATTACHMENT_BYTES=5000, MAX_BODY_BYTES=5000
    )
    process = Process(runtime, plugin, transport)
    ids = [process.upload(("file", (f"{n}.txt", b"x" * 2000))).json["id"] for n in range(3)]
    assert process.chat(*({"file_id": ids[0]} for _ in range(5))).status_code == 200
    answer = process.chat(*({"file_id": one} for one in ids))
    assert (answer.status_code, answer.json["code"]) == (413, "payload_too_large")
    plugin.rom_stop()


def test_no_more_uploads_at_once_than_there_is_room_for(in_memory: Process) -> None:
    """The next one is told to come back in a moment; afterwards there is room again."""
    reached, go_on = threading.Semaphore(0), threading.Event()
    keeper: Any = in_memory.plugin.keeper
    keep = keeper.keep

    def slow(*given: Any) -> None:
        reached.release()
        assert go_on.wait(60)
        keep(*given)

    keeper.keep = slow
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(in_memory.upload(("file", ("a.txt", b"x"))).status_code))
        for _ in range(MAX_UPLOADS)
    ]
    for thread in threads:
        thread.start()
    assert all(reached.acquire(timeout=60) for _ in threads)
    answer = in_memory.upload(("file", ("a.txt", b"x")))
    assert (answer.status_code, answer.json["code"], answer.headers["retry-after"]) == (503, "overloaded", "2")
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert statuses == [201] * MAX_UPLOADS
    assert in_memory.upload(("file", ("a.txt", b"x"))).status_code == 201


def test_while_it_is_off_there_are_no_files() -> None:
    """404 `plugin_disabled`, and no id is known."""
    plugin = Files()
    runtime, transport = make_runtime(says("lido"), plugins={"files": plugin}, **SETTINGS, FILES_ENABLED=False)
    process = Process(runtime, plugin, transport)
    assert process.upload(("file", ("a.txt", b"x"))).json["code"] == "plugin_disabled"
    assert process.chat({"file_id": "file-1"}).json["code"] == "file_not_found"
    plugin.rom_stop()


def test_with_the_store_away_nothing_is_lost_silently(in_memory: Process) -> None:
    """503 for who asks; the thread that erases goes on."""

    def away(*_: Any) -> Any:
        raise StoreUnavailable("the store is unavailable")

    keeper: Any = in_memory.plugin.keeper
    keeper.keep = keeper.read = keeper.erase_expired = away
    assert in_memory.upload(("file", ("a.txt", b"x"))).json["code"] == "store_unavailable"
    assert in_memory.chat({"file_id": "file-1"}).json["code"] == "store_unavailable"
    in_memory.plugin.erase_expired()


def test_the_log_has_kinds_and_sizes_and_no_names(in_memory: Process) -> None:
    """Neither names nor content."""
    with capture_logs() as lines:
        in_memory.upload(("file", ("Joao da Silva.txt", SECRET)))
    (line,) = (line for line in lines if line["event"] == "files.kept")
    assert (line["kind"], line["bytes"], line["warnings"]) == ("txt", len(SECRET), 0)
    assert not [word for word in ("Joao", "Fulano") if word in repr(lines)]


def test_files_that_are_read_for_a_turn_count_as_bodies(in_memory: Process) -> None:
    """Without room for them 503; with room it is given back when the turn ends, streamed or not, also if it fails."""
    file_id = in_memory.upload(("file", ("a.txt", b"x" * 1000))).json["id"]
    named: Any = {"message": "Resuma.", "attachments": [{"file_id": file_id}]}
    assert in_memory.ask("POST", "/api/chat", json=named).status_code == 200
    assert "event: done" in in_memory.ask("POST", "/api/chat", json=named | {"stream": True}).text
    unknown = {**named, "attachments": [*named["attachments"], {"file_id": "file-1"}]}
    assert in_memory.ask("POST", "/api/chat", json=unknown).status_code == 404
    assert in_memory.room.bytes == 0
    assert in_memory.room.share().grow_to(LIMIT_BYTES - RESERVED_BYTES)
    assert in_memory.room.share().grow_to(SMALL_BYTES)
    for _ in range(RESERVED_BYTES // SMALL_BYTES - 1):
        assert in_memory.room.share().grow_to(SMALL_BYTES)
    answer = in_memory.ask("POST", "/api/chat", json=named)
    assert (answer.status_code, answer.json["code"], answer.headers["retry-after"]) == (503, "overloaded", "10")
