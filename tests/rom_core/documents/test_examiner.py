"""The process that looks into files: what it refuses, and that nothing it does costs more than that request."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Sequence

import pytest
from documents_support import (
    deeply_nested_pdf,
    docx,
    docx_of_a_gigabyte,
    encrypted_pdf,
    image,
    pdf,
    pdf_of_many_pages,
    pdf_that_unpacks_to_a_gigabyte,
    raw_pdf,
    xlsx,
    zipped,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.concurrency.clock import SystemClock
from rom_core.documents.examiner import Examiner, run_worker
from rom_core.documents.verdict import Budget, Verdict
from rom_core.documents.worker import look

GOOD_PDF, GOOD_DOCX = pdf(), docx()


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    """One with real processes."""
    return Examiner(SystemClock())


def test_good_files_are_what_they_are(examiner: Examiner) -> None:
    """All kinds in one process, and bytes after %%EOF are no fault."""
    questions: list[tuple[bytes, tuple[str, ...]]] = [
        (pdf(pages=3), ("pdf",)),
        (GOOD_PDF + b"\r\n" + b"\0" * 900, ("pdf",)),
        (docx(), ("docx", "xlsx")),
        (xlsx(), ("docx", "xlsx")),
        *((image(name.upper()), (name,)) for name in ("png", "jpeg", "gif", "webp")),
    ]
    verdicts = examiner.examine(questions)
    assert [verdict.reason for verdict in verdicts] == [""] * len(questions)
    assert [verdict.format for verdict in verdicts[:4]] == ["pdf", "pdf", "docx", "xlsx"]
    assert verdicts[0].pages == 3


@pytest.mark.parametrize(
    ("data", "formats", "reason"),
    [
        (GOOD_PDF[:300], ("pdf",), "broken"),
        (b"%PDF-1.4\nnothing", ("pdf",), "broken"),
        (raw_pdf(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"), ("pdf",), "broken"),
        (encrypted_pdf(), ("pdf",), "encrypted"),
        (pdf_of_many_pages(), ("pdf",), "too_many_pages"),
        (GOOD_DOCX[:-30], ("docx",), "broken"),
        (xlsx(), ("docx",), "mislabelled"),
        (zipped(a_txt=b"x"), ("docx", "xlsx"), "mislabelled"),
        (zipped(**{f"p{n}": b"" for n in range(6000)}), ("docx",), "too_complex"),
        (image()[:-20], ("png",), "broken"),
        (image("JPEG", (300, 300))[:700], ("jpeg",), "broken"),
        (image("PNG", (8001, 2)), ("png",), "too_many_pixels"),
    ],
)
def test_refused_for_what_is_inside(data: bytes, formats: tuple[str, ...], reason: str) -> None:
    """Each with its own reason and a sentence; nothing of the content is in it."""
    verdict = look(data, list(formats), Budget(time.monotonic, 60))
    assert (verdict.reason, bool(verdict.detail)) == (reason, True)


@pytest.mark.parametrize(
    ("data", "formats"),
    [(docx_of_a_gigabyte(), ("docx",)), (deeply_nested_pdf(), ("pdf",))],
    ids=["docx of a gigabyte", "50,000 levels"],
)
def test_a_bomb_costs_that_file_only(examiner: Examiner, data: bytes, formats: tuple[str, ...]) -> None:
    """It is refused as such, the file before and the one after it are read, and this process does not grow."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdicts = examiner.examine([(GOOD_PDF, ("pdf",)), (data, formats), (image(), ("png",))])
    assert [verdict.reason for verdict in verdicts] == ["", "too_complex", ""]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_a_packed_gigabyte_in_a_pdf_is_refused(examiner: Examiner) -> None:
    """The library unpacks no more than a bounded part of it."""
    (verdict,) = examiner.examine([(pdf_that_unpacks_to_a_gigabyte(), ("pdf",))])
    assert verdict.reason == "too_complex"


def test_a_process_that_does_not_end_is_ended() -> None:
    """What it had said by then counts; the file that it was at is refused, and those after it get their turn."""
    runs: list[list[int]] = []

    def run(given: bytes, seconds: float) -> bytes:
        sizes = [file["size"] for file in json.loads(given.partition(b"\n")[0])["files"]]
        runs.append(sizes)
        # It answers for every file up to the one of two bytes.
        answered = sizes[: sizes.index(2)] if 2 in sizes else sizes
        line = json.dumps(Verdict(format="pdf").as_dict()).encode() + b"\n"
        return line * len(answered) + (b'{"format": "p' if 2 in sizes else b"")

    questions = [(b"1", ("pdf",)), (b"22", ("pdf",)), (b"333", ("pdf",))]
    verdicts = Examiner(SystemClock(), run).examine(questions)
    assert [verdict.reason for verdict in verdicts] == ["", "too_complex", ""]
    assert runs == [[1, 2, 3], [3]]


def test_the_worker_is_killed_at_its_deadline() -> None:
    """With time it answers; without any it has said nothing."""
    head = json.dumps({"seconds": 9, "files": [{"formats": ["pdf"], "size": 2}]}).encode()
    assert b"broken" in run_worker(head + b"\nxx", 60.0)
    assert run_worker(head + b"\nxx", 0.0) == b""


def test_what_was_seen_once_is_known() -> None:
    """The same content asks no process a second time, under another order too; a file that was too much is retried."""
    asked: list[int] = []

    def run(given: bytes, seconds: float) -> bytes:
        sizes: Sequence[int] = [file["size"] for file in json.loads(given.partition(b"\n")[0])["files"]]
        asked.extend(sizes)
        return b"".join(json.dumps(Verdict(format="pdf").as_dict()).encode() + b"\n" for size in sizes if size != 2)

    examiner = Examiner(SystemClock(), run)
    for _ in range(2):
        examiner.examine([(b"1", ("pdf",)), (b"333", ("pdf",))])
        examiner.examine([(b"333", ("pdf",)), (b"22", ("pdf",))])
    assert asked == [1, 3, 2, 2]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_mutated_file_has_a_verdict(data: st.DataObject) -> None:
    """Whatever was changed in it: nothing raises."""
    original, formats = data.draw(st.sampled_from([(GOOD_PDF, ["pdf"]), (GOOD_DOCX, ["docx"]), (image(), ["png"])]))
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    verdict = look(bytes(changed[: data.draw(st.integers(1, len(changed)))]), formats, Budget(time.monotonic, 60))
    assert bool(verdict.reason) != bool(verdict.format)
