"""Which request the next thread serves: exactly the promised order, and the threads that are kept free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import until
from waitress.task import ThreadedTaskDispatcher

from rom_core.http.server.dispatcher import MAX_IN_ADMISSION, READS_BEFORE_A_CHAT, Dispatcher

LONG = 20.0


class Task:
    """What waitress hands over; `service` waits until the test lets it go on."""

    def __init__(self, name: str, kind: str = "read", address: str = "a") -> None:
        self.name = name
        self.address = address
        self.has_priority = kind == "read"
        self.needs_admission = kind == "chat"
        self.serving, self.go, self.over = threading.Event(), threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.cancelled = False

    def service(self) -> None:
        self.serving.set()
        assert self.go.wait(LONG)
        self.over.set()
        if self.error is not None:
            raise self.error

    def cancel(self) -> None:
        self.cancelled = True


class Line:
    """A dispatcher without threads: the test takes what a thread would take."""

    def __init__(self, chats: int = 10) -> None:
        self.dispatcher = Dispatcher(chats)
        self.waiting: Any = self.dispatcher.queue
        self.served: dict[str, Any] = {}

    def add(self, *tasks: Task) -> None:
        for task in tasks:
            self.dispatcher.add_task(task)

    def take(self, end: bool = True) -> str:
        service = self.waiting.popleft()
        if end:
            self.waiting.ended(service)
        else:
            self.served[service.task.name] = service
        return str(service.task.name)

    def take_all(self, end: bool = True) -> str:
        names = []
        while self.waiting:
            names.append(self.take(end))
        return " ".join(names)

    def end(self, name: str) -> None:
        self.waiting.ended(self.served.pop(name))


def test_reads_go_first_and_a_chat_after_four() -> None:
    """Reads overtake chats that came earlier, four at most for each chat; each kind keeps its order."""
    line = Line()
    line.add(*(Task(f"c{n}", "chat") for n in range(3)), *(Task(f"r{n}") for n in range(10)))
    assert READS_BEFORE_A_CHAT == 4
    assert line.take_all() == "r0 r1 r2 r3 c0 r4 r5 r6 r7 c1 r8 r9 c2"


def test_reads_that_overtook_nobody_do_not_count() -> None:
    """A chat that comes after a hundred reads still lets four pass."""
    line = Line()
    for number in range(100):
        line.add(Task(str(number)))
        line.take()
    line.add(Task("c", "chat"), *(Task(f"r{n}") for n in range(5)))
    assert line.take_all() == "r0 r1 r2 r3 c r4"


def test_addresses_take_turns_while_others_wait() -> None:
    """Sixty reads of one address and two of another: these are not behind those; alone, it has every thread."""
    line = Line()
    line.add(*(Task(f"a{n}", address="a") for n in range(60)), Task("b0", address="b"), Task("b1", address="b"))
    assert [line.take() for _ in range(5)] == ["a0", "b0", "a1", "b1", "a2"]
    assert line.take_all(end=False).count("a") == 57


def test_the_address_with_the_fewest_threads_goes_first() -> None:
    """Also when its request came last: what is being served counts."""
    line = Line()
    line.add(*(Task(f"a{n}", address="a") for n in range(3)))
    assert line.take_all(end=False) == "a0 a1 a2"
    line.add(Task("a3", address="a"), Task("b0", address="b"), Task("b1", address="b"), Task("b2", address="b"))
    assert [line.take(end=False) for _ in range(4)] == ["b0", "b1", "b2", "a3"]


def test_chats_never_take_the_last_threads() -> None:
    """With as many as may be served, a free thread takes nothing but reads; one that ends makes room for one."""
    line = Line(chats=2)
    line.add(*(Task(f"p{n}", "post") for n in range(4)))
    assert line.take_all(end=False) == "p0 p1"
    line.add(Task("r"))
    assert line.take_all(end=False) == "r"
    line.end("p0")
    assert line.take_all(end=False) == "p2"


def test_few_at_a_time_are_on_their_way_to_a_place() -> None:
    """The next one comes when one has its place, once, or has ended; what asks for no place passes by."""
    line = Line()
    chats = [Task(f"c{n}", "chat") for n in range(5)]
    line.add(*chats)
    assert MAX_IN_ADMISSION == 2
    assert line.take_all(end=False) == "c0 c1"
    line.add(Task("p", "post", address="b"))
    assert line.take_all(end=False) == "p"
    line.dispatcher.mark_admitted(chats[0])
    line.dispatcher.mark_admitted(chats[0])
    assert line.take_all(end=False) == "c2"
    line.end("c1")
    assert line.take_all(end=False) == "c3"


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["read", "post", "chat"]), st.sampled_from("abc"), st.booleans())))
def test_everybody_is_served_in_the_end(steps: list[tuple[str, str, bool]]) -> None:
    """Whatever comes, from whomever, however long it takes: all are taken once, and never more chats than may be."""
    line = Line(chats=2)
    taken: list[str] = []
    kinds = {}
    for number, (kind, address, end) in enumerate(steps):
        kinds[str(number)] = kind
        line.add(Task(str(number), kind, address))
        if line.waiting:
            taken.append(line.take(end))
        assert line.dispatcher.chats == sum(kinds[name] != "read" for name in line.served) <= 2
    while len(line.waiting) or line.served:
        for name in list(line.served):
            line.end(name)
        taken += line.take_all().split()
    assert sorted(taken, key=int) == list(kinds)
    assert not line.dispatcher.busy


@pytest.fixture
def threads() -> Iterator[Dispatcher]:
    """A dispatcher with three threads, two of them for chats."""
    dispatcher = Dispatcher(2)
    dispatcher.set_thread_count(3)
    yield dispatcher
    dispatcher.shutdown(timeout=LONG)


def test_a_read_is_served_while_chats_wait(threads: Dispatcher) -> None:
    """Real threads: two hold theirs, three wait, the probe is served; then all are."""
    posts = [Task(str(number), "post") for number in range(5)]
    for post in posts:
        threads.add_task(post)
    assert posts[0].serving.wait(LONG)
    assert posts[1].serving.wait(LONG)
    probe = Task("probe")
    probe.go.set()
    threads.add_task(probe)
    assert probe.over.wait(LONG)
    assert not posts[2].serving.is_set()
    for post in posts:
        post.go.set()
        assert post.over.wait(LONG)


def test_who_is_let_in_wakes_the_thread_for_the_next() -> None:
    """Nobody else would: the other threads wait for something to come."""
    dispatcher = Dispatcher(10)
    dispatcher.set_thread_count(4)
    chats = [Task(str(number), "chat") for number in range(3)]
    for chat in chats:
        dispatcher.add_task(chat)
    assert chats[0].serving.wait(LONG)
    assert chats[1].serving.wait(LONG)
    dispatcher.mark_admitted(chats[0])
    assert chats[2].serving.wait(LONG)
    for chat in chats:
        chat.go.set()
    dispatcher.shutdown(timeout=LONG)


def test_a_task_that_raises_costs_no_thread(threads: Dispatcher, caplog: pytest.LogCaptureFixture) -> None:
    """SystemExit too: it is logged, and its place is free again."""
    for error in (ValueError("bad"), SystemExit(2), KeyboardInterrupt()):
        task = Task("x", "chat")
        task.error = error
        task.go.set()
        threads.add_task(task)
        assert task.over.wait(LONG)
    last = Task("last", "chat")
    last.go.set()
    threads.add_task(last)
    assert last.over.wait(LONG)


def test_the_end_cancels_what_nobody_took() -> None:
    """Chats beyond those that may be served too; what is being served is waited for no longer than told."""
    dispatcher = Dispatcher(1)
    dispatcher.set_thread_count(2)
    stuck, waiting = Task("stuck", "post"), [Task(str(number), "post") for number in range(3)]
    for task in (stuck, *waiting):
        dispatcher.add_task(task)
    assert stuck.serving.wait(LONG)
    dispatcher.shutdown(timeout=0.05)
    assert [task.cancelled for task in (stuck, *waiting)] == [False, True, True, True]
    stuck.go.set()
    assert stuck.over.wait(LONG)


def test_a_request_that_stays_takes_no_thread_from_the_others() -> None:
    """One more thread for as long as it stays, and no more afterwards; at the end none is started in its place."""
    dispatcher = Dispatcher(chats=1)
    dispatcher.set_thread_count(1)
    stays, read = Task("stays"), Task("read")
    dispatcher.add_task(stays)
    assert stays.serving.wait(LONG)
    dispatcher.mark_staying(stays)
    dispatcher.add_task(read)
    assert read.serving.wait(LONG)
    for task in (stays, read):
        task.go.set()
    assert until(lambda: len(dispatcher.threads) == 1 and not dispatcher.busy)
    last = Task("last")
    dispatcher.add_task(last)
    assert last.serving.wait(LONG)
    dispatcher.mark_staying(last)
    last.go.set()
    assert dispatcher.shutdown(timeout=LONG)
    assert until(lambda: not dispatcher.threads)


def test_a_request_that_ends_while_the_server_does_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that has looked at the count before, and acts on it afterwards."""
    looked, ended, plain = threading.Event(), threading.Event(), ThreadedTaskDispatcher.set_thread_count

    def set_thread_count(self: ThreadedTaskDispatcher, count: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            looked.set()
            # In vain where the end of the server waits its turn.
            ended.wait(0.2)
        plain(self, count)
        if not count:
            ended.set()

    dispatcher = Dispatcher(chats=1)
    dispatcher.set_thread_count(1)
    last = Task("last")
    dispatcher.add_task(last)
    assert last.serving.wait(LONG)
    dispatcher.mark_staying(last)
    monkeypatch.setattr(ThreadedTaskDispatcher, "set_thread_count", set_thread_count)
    last.go.set()
    assert looked.wait(LONG)
    dispatcher.shutdown(timeout=5)
    assert until(lambda: not dispatcher.busy)
    assert not dispatcher.threads


def test_the_thread_that_rested_last_serves_next(threads: Dispatcher) -> None:
    """While one is enough, one serves everything; more at once have a thread each."""

    class Named(Task):
        by = 0

        def service(self) -> None:
            self.by = threading.get_ident()
            super().service()

    def rests() -> bool:
        with threads.lock:
            return threads.active_count == 0

    served = set()
    for number in range(10):
        assert until(rests)
        task = Named(str(number))
        threads.add_task(task)
        task.go.set()
        assert task.over.wait(LONG)
        served.add(task.by)
    assert len(served) == 1
    assert until(rests)
    together = [Named(f"t{number}") for number in range(3)]
    for task in together:
        threads.add_task(task)
    assert all(task.serving.wait(LONG) for task in together)
    assert len({task.by for task in together}) == 3
    for task in together:
        task.go.set()
