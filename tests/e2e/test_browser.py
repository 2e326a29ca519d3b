"""A browser's form on a real server process, against the local Bedrock."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browser_support import SCRIPT
from documents_support import docx, pdf
from e2e.serving import RomServer
from playwright.sync_api import FilePayload, Page

from local_bedrock import LocalBedrock

FORM = """<!doctype html><meta charset="utf-8">
<form method="post" action="/api/chat" enctype="multipart/form-data">
  <textarea name="message"></textarea>
  <input name="conversation_id">
  <input type="file" name="attachments" multiple>
  <button>Enviar</button>
</form>"""
FILES: list[FilePayload] = [
    {"name": "Petição inicial.pdf", "mimeType": "application/pdf", "buffer": pdf()},
    {"name": 'contrato "final".docx', "mimeType": "", "buffer": docx()},
]


@pytest.fixture
def form(server: RomServer, bedrock: LocalBedrock, page: Page) -> Page:
    """The form, as a page of the server's own would be."""
    bedrock.reset()
    page.route("**/form", lambda route: route.fulfill(content_type="text/html; charset=utf-8", body=FORM))
    page.goto(f"{server.url}/form")
    return page


def sent(page: Page) -> Any:
    """The answer to the form: status and JSON."""
    with page.expect_navigation() as navigation:
        page.click("button")
    assert navigation.value is not None
    return navigation.value.status, json.loads(page.inner_text("body"))


def test_a_form_without_any_script_sends_files(form: Page, bedrock: LocalBedrock) -> None:
    """Two files under one input, names in Portuguese and with quotes, a text of two lines."""
    form.fill("textarea", "Resuma\nem duas linhas.")
    form.set_input_files("[type=file]", FILES)
    status, answer = sent(form)
    assert (status, answer["stop_reason"]) == (200, "end_turn"), answer
    (request,) = bedrock.requests
    first, second, question = request.body["messages"][-1]["content"]
    assert (first["document"]["name"], first["document"]["format"]) == ("Peticao inicial", "pdf")
    assert base64.b64decode(first["document"]["source"]["bytes"]) == FILES[0]["buffer"]
    assert second["document"]["format"] == "docx"
    assert question == {"text": "Resuma\nem duas linhas."}


def test_a_form_whose_inputs_were_left_empty_is_a_message(form: Page, bedrock: LocalBedrock) -> None:
    """A browser sends them all the same."""
    form.fill("textarea", "Olá")
    status, answer = sent(form)
    assert (status, answer["conversation_id"][:5]) == (200, "conv-"), answer
    assert bedrock.requests[0].body["messages"][-1]["content"] == [{"text": "Olá"}]


def test_a_person_is_told_what_is_wrong_with_a_file(form: Page, bedrock: LocalBedrock) -> None:
    """In Portuguese, and nothing is sent."""
    form.fill("textarea", "Resuma.")
    form.set_input_files("[type=file]", {"name": "a.pdf", "mimeType": "application/pdf", "buffer": docx()})
    status, answer = sent(form)
    assert (status, answer["code"]) == (422, "attachment_mislabelled")
    assert "Salve-o no formato certo" in answer["user_message"]
    assert bedrock.requests == []


def test_a_script_uploads_a_file_and_streams_an_answer_about_it(form: Page, bedrock: LocalBedrock) -> None:
    """`FormData` to /api/files, then its id to /api/chat; the events come as they are."""
    form.set_input_files("[type=file]", FILES[0])
    kept, events = form.evaluate(
        """async () => {
          const form = new FormData();
          form.append("file", document.querySelector("[type=file]").files[0]);
          const kept = await (await fetch("/api/files", {method: "POST", body: form})).json();
          const body = JSON.stringify({message: "Resuma.", stream: true, attachments: [{file_id: kept.id}]});
          const headers = {"Content-Type": "application/json"};
          const events = await (await fetch("/api/chat", {method: "POST", headers, body})).text();
          return [kept, events];
        }"""
    )
    assert (kept["name"], kept["media_type"], kept["pages"]) == ("Petição inicial.pdf", "application/pdf", 1)
    assert "event: done" in events
    assert bedrock.requests[0].body["messages"][-1]["content"][0]["document"]["name"] == "Peticao inicial"


def test_where_no_browser_can_be_had_one_sentence_says_so_and_the_run_fails(tmp_path: Path) -> None:
    """Nobody takes an untested form for a tested one."""
    for tool in ("bash", "env", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    done = subprocess.run(
        [SCRIPT], env={"PATH": os.fspath(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    [sentence] = done.stderr.splitlines()
    assert "install the package chromium" in sentence
