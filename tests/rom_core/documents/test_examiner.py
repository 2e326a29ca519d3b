"""The process that looks into files: what it refuses, and that nothing it does costs more than that request."""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Callable, Sequence

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

from rom_core.concurrency.clock import FakeClock, SystemClock
from rom_core.documents import examiner as module
from rom_core.documents.examiner import Examiner, run_worker
from rom_core.documents.verdict import Budget, Verdict
from rom_core.documents.worker import WorkClock, look
from rom_core.errors import Overloaded

GOOD_PDF, GOOD_DOCX = pdf(), docx()


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    """One with real processes, which may take longer than somebody would wait."""
    return Examiner(FakeClock(), lambda given, _seconds: run_worker(given, 60.0))


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
    ("make", "formats"),
    [(docx_of_a_gigabyte, ("docx",)), (deeply_nested_pdf, ("pdf",))],
    ids=["docx of a gigabyte", "50,000 levels"],
)
def test_a_bomb_costs_that_file_only(examiner: Examiner, make: Callable[[], bytes], formats: tuple[str, ...]) -> None:
    """It is refused as such, the file before and the one after it are read, and this process does not grow."""
    data = make()
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
    head = json.dumps({"seconds": 9, "end": time.monotonic() + 60, "files": [{"formats": ["pdf"], "size": 2}]}).encode()
    assert b"broken" in run_worker(head + b"\nxx", 60.0)
    assert run_worker(head + b"\nxx", 0.0) == b""


class Slow:
    """A worker that takes so many seconds by the clock, and then has answered or not; what it was given is kept."""

    def __init__(self, clock: FakeClock, seconds: float, verdict: Verdict | None) -> None:
        self._clock, self._seconds, self._verdict = clock, seconds, verdict
        self.work: list[float] = []
        self.allowed: list[float] = []

    def __call__(self, given: bytes, seconds: float) -> bytes:
        self.work.append(json.loads(given.partition(b"\n")[0])["seconds"])
        self.allowed.append(seconds)
        self._clock.advance(min(self._seconds, seconds))
        return b"" if self._verdict is None else json.dumps(self._verdict.as_dict()).encode() + b"\n"


def waiting(examiner: Examiner, clock: FakeClock, seconds: float) -> None:
    """Let the next request wait so many seconds for its place."""
    taken = examiner._places

    class Places:
        def acquire(self, timeout: float) -> bool:
            assert seconds <= timeout <= module.ALL_SECONDS
            clock.advance(seconds)
            return taken.acquire(timeout=60)

        def release(self) -> None:
            taken.release()

    examiner._places = Places()  # type: ignore[assignment]


def test_waiting_and_looking_together_end_within_ten_seconds() -> None:
    """Who has waited looks for hidden text for a shorter while, and is killed no later."""
    clock = FakeClock()
    run = Slow(clock, 99, Verdict(format="pdf"))
    began = clock.monotonic()
    examiner = Examiner(clock, run)
    waiting(examiner, clock, 6.0)
    examiner.examine([(b"1", ("pdf",))])
    assert run.work == pytest.approx([1.05])
    assert run.allowed == pytest.approx([3.0])
    assert clock.monotonic() - began <= 9.5


def test_a_file_is_not_blamed_for_the_wait_before_it() -> None:
    """Killed after a late beginning: come back later. After an early one, or ended by itself: it was the file."""
    for waited, takes, outcome in ((6.0, 99, "overloaded"), (6.0, 0.5, "too_complex"), (0.0, 99, "too_complex")):
        clock = FakeClock()
        examiner = Examiner(clock, Slow(clock, takes, None))
        waiting(examiner, clock, waited)
        if outcome == "overloaded":
            with pytest.raises(Overloaded) as caught:
                examiner.examine([(b"1", ("pdf",))])
            assert caught.value.retry_after == 9
        else:
            assert [verdict.reason for verdict in examiner.examine([(b"1", ("pdf",))])] == [outcome]


def test_who_finds_no_place_in_time_comes_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """503, long before the ten seconds are over; the places are given back afterwards."""
    clock = FakeClock()
    inside, go_on = threading.Semaphore(0), threading.Event()

    def run(given: bytes, seconds: float) -> bytes:
        inside.release()
        assert go_on.wait(60)
        return json.dumps(Verdict(format="pdf").as_dict()).encode() + b"\n"

    examiner = Examiner(clock, run)
    threads = [
        threading.Thread(target=examiner.examine, args=([(b"%d" % number, ("pdf",))],))
        for number in range(module.AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    assert all(inside.acquire(timeout=60) for _ in threads)
    monkeypatch.setattr(module, "MIN_LOOK_SECONDS", module.ALL_SECONDS - 0.01)
    with pytest.raises(Overloaded):
        examiner.examine([(b"x", ("pdf",))])
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert [verdict.format for verdict in examiner.examine([(b"x", ("pdf",))])] == ["pdf"]


def test_what_was_looked_through_in_a_hurry_is_looked_through_again() -> None:
    """The next time there may be more; on a quiet day a large document is remembered as it is."""
    for waited, took, looks in ((6.0, 0.1, 2), (0.0, 6.5, 2), (0.0, 0.1, 1)):
        clock = FakeClock()
        run = Slow(clock, took, Verdict(format="pdf", unseen=True))
        examiner = Examiner(clock, run)
        waiting(examiner, clock, waited)
        for _ in range(2):
            examiner.examine([(b"1", ("pdf",))])
        assert len(run.work) == looks


def test_a_busy_machine_leaves_time_to_look() -> None:
    """Loading a library is not the file's time, nor is what passes while others have all of the processor."""
    worked = passed = 0.0
    budget = Budget(WorkClock(lambda: worked, lambda: passed), 2.5)
    worked = passed = 2.0
    budget.begin()
    passed += 60
    worked += 0.6
    assert budget.left
    worked += 0.1
    passed += 60
    assert not budget.left


def test_nothing_is_begun_once_nobody_waits_any_more() -> None:
    """Who is killed in the middle is taken for a file that is too much."""
    worked = passed = 0.0
    budget = Budget(WorkClock(lambda: worked, lambda: passed, 8.0), 2.5)
    passed = 7.9
    assert budget.left
    passed = 8.1
    assert not budget.left


def test_a_processor_of_ones_own_has_no_more_time_than_passes() -> None:
    """Others wait for the place."""
    worked = passed = 0.0
    budget = Budget(WorkClock(lambda: worked, lambda: passed), 2.5)
    worked = passed = 2.4
    assert budget.left
    worked = passed = 2.6
    assert not budget.left


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
