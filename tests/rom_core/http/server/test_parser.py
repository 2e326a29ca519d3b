"""What may come in before anybody is known: bounded, in time linear in its length, and refused where it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waitress.adjustments import Adjustments

from rom_core.errors import RomError, Unauthorized
from rom_core.http.server import parser as module
from rom_core.http.server.parser import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES, MAX_SPACES, Parser

GET = b"GET / HTTP/1.1\r\nHost: rom\r\n"
POST = b"POST / HTTP/1.1\r\nHost: rom\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Parsing:
    """A parser that is fed piece by piece."""

    def __init__(self, decision: RomError | int | None = 1000) -> None:
        self.ended: list[str] = []
        adjustments = Adjustments(max_request_header_size=MAX_HEAD_BYTES, max_request_body_size=200_000)
        self.parser: Any = Parser(adjustments, lambda _: decision, lambda: self.ended.append("x"))
        self.used = 0

    def feed(self, data: bytes, size: int = 8192) -> Any:
        """As much of `data` as one request takes, in pieces of `size` bytes as from a socket."""
        while data and not self.parser.completed:
            piece = data[:size]
            used = self.parser.received(piece)
            self.used += used
            data = data[used:]
        return self.parser


def status(data: bytes, size: int = 8192, **options: Any) -> int:
    """0 = fine, 1 = not complete yet, else the status of the refusal."""
    found = Parsing(**options).feed(data, size)
    if found.error is not None:
        return int(found.error.code)
    if found.refusal is not None:
        return int(found.refusal.status)
    return 0 if found.completed else 1


@pytest.mark.parametrize("size", [1, 7, 8192])
@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (GET + b"\r\n", 0),
        (GET + b"A:" + b" " * MAX_SPACES + b"b\r\n\r\n", 0),
        (GET + b"A:" + b" " * (MAX_SPACES + 1) + b"b\r\n\r\n", 400),
        (GET + b"A: b" + b"\t" * (MAX_SPACES + 1) + b"c\r\n\r\n", 400),
        (GET + b"A: b\r\n folded\r\n\r\n", 400),
        (GET + b"A: b\r\n\tfolded\r\n\r\n", 400),
        (GET + b"A: b\r\n" * (MAX_HEADERS - 1) + b"\r\n", 0),
        (GET + b"A: b\r\n" * MAX_HEADERS + b"\r\n", 431),
        (GET + b"A: " + b"x" * MAX_HEAD_BYTES, 431),
        (b"GET /" + b"x" * MAX_LINE_BYTES + b" HTTP/1.1\r\nHost: rom\r\n\r\n", 414),
        (b"GET / HTTP/2.0\r\nHost: rom\r\n\r\n", 505),
        (b"GET /\r\nHost: rom\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: rom\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: rom\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: rom\r\n\r\n", 400),
        (b"GET http://" + b"1" * 5000 + b" HTTP/1.1\r\nHost: " + b"1" * 5000 + b"\r\n\r\n", 0),
        (b"GET http://ROM/x HTTP/1.1\r\nHost: rom\r\n\r\n", 0),
        (b"GET http://evil/x HTTP/1.1\r\nHost: rom\r\n\r\n", 400),
        (b"GET http:///x HTTP/1.1\r\nHost: rom\r\n\r\n", 400),
        (b"GET http://evil/x HTTP/1.0\r\n\r\n", 400),
        (b"\r\n" + GET + b"\r\n", 0),
        (b"\r\n" * 1000, 400),
        (b"\r\n" * 4 + GET + b"\r\n", 400),
        (b"GET / HTTP/1.1\nHost: rom\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: rom\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: rom\r\nA: b\rc\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: +1\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\n\r\nab", 0),
        (POST + b"Content-Length: 1001\r\n\r\n", 413),
        (CHUNKED + b"2\r\nab\r\n0\r\n\r\n", 0),
        (CHUNKED + b"2;a=b\r\nab\r\n0\r\nX: y\r\n\r\n", 0),
        (CHUNKED + b"3E9\r\n" + b"x" * 1001, 413),
        (CHUNKED + b"x\r\n", 400),
        (POST + b"Transfer-Encoding:  Chunked \r\n\r\n0\r\n\r\n", 0),
        (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked ,chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding:\r\nContent-Length: 2\r\n\r\nab", 400),
        (POST + b"Transfer-Encoding: , \r\nContent-Length: 2\r\n\r\nab", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (CHUNKED + b"2\r\nabcd", 400),
        (CHUNKED + b"2;" + b"a" * 20_000, 400),
        (CHUNKED + b"0\r\n" + b"A: b\r\n" * 4000, 400),
        (CHUNKED + b"\r\n" * 40_000, 400),
        (CHUNKED + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n", 0),
    ],
)
def test_what_may_come_in(request_: bytes, expected: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is cut into pieces: bounded, one way to read it, and refused as soon as that is certain."""
    monkeypatch.setattr(module, "_MAX_AROUND_CHUNKS", 2000)
    assert status(request_, size) == expected


@pytest.mark.parametrize(
    ("headers", "version", "fine"),
    [
        (b"", b"1.1", False),
        (b"", b"1.0", True),
        (b"Host: rom\r\nHost: rom\r\n", b"1.1", False),
        (b"Host: a\r\nhost: b\r\n", b"1.0", False),
        (b"Host: a b\r\n", b"1.1", False),
        (b"Host: a/b\r\n", b"1.1", False),
        (b"Host: a@b\r\n", b"1.1", False),
        (b"Host: a:b\r\n", b"1.1", False),
        (b"Host: a, b\r\n", b"1.1", False),
        (b"Host: [::1\r\n", b"1.1", False),
        (b"Host: a%zz\r\n", b"1.0", False),
        (b"Host:\r\n", b"1.1", True),
        (b"Host: rom.example:8000\r\n", b"1.1", True),
        (b"Host: 127.0.0.1\r\n", b"1.1", True),
        (b"Host: [::1]:8000\r\n", b"1.1", True),
    ],
)
def test_one_valid_host(headers: bytes, version: bytes, fine: bool) -> None:
    """RFC 9112, 3.2: none (in HTTP/1.1), two, or an invalid one is 400."""
    assert status(b"GET / HTTP/" + version + b"\r\n" + headers + b"\r\n") == (0 if fine else 400)


@pytest.mark.parametrize("decision", [Unauthorized("no"), None])
@pytest.mark.parametrize("body", [b"Content-Length: 500\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_that_nobody_reads_is_not_taken_in(body: bytes, decision: RomError | None) -> None:
    """The request is complete with its head, waits for no `100 Continue`, and nothing after it is another request."""
    parsing = Parsing(decision)
    data = POST + b"Expect: 100-continue\r\n" + body + GET + b"\r\n"
    found = parsing.feed(data)
    assert (found.completed, found.refusal, found.expect_continue) == (True, decision, False)
    assert parsing.used == len(data)
    assert parsing.ended == ["x"]
    assert found.get_body_stream().read() == b""
    assert found.headers["CONNECTION"] == "close"


@pytest.mark.parametrize(
    "last", [b"Expect: 100-continue\r\n\r\n", b"Content-Length: 0\r\nExpect: 100-continue\r\n\r\n"]
)
def test_who_expects_to_continue_without_a_body_is_answered(last: bytes) -> None:
    """waitress would say that it may continue, and wait for what never comes."""
    found = Parsing().feed(GET + last)
    assert (found.completed, found.error, found.expect_continue) == (True, None, False)


def _doubling(make: Any) -> Iterator[float]:
    """The processor's seconds for inputs of twice the length each, the least of several tries."""
    for length in (4_000, 8_000, 16_000, 31_000):
        tries = []
        for _ in range(5):
            data = make(length)
            began = time.thread_time()
            status(data)
            tries.append(time.thread_time() - began)
        yield min(tries)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: GET + b"A:" + b" " * n + b"x\r\n\r\n",
        lambda n: GET + b"A:" + b" " * n + b"\x80\r\n\r\n",
        lambda n: GET + b"A: " + b" x" * (n // 2) + b"\r\n\r\n",
        lambda n: GET + b"A" * n + b"\r\n\r\n",
        lambda n: b"GET http://" + b"1" * n + b" x HTTP/1.1\r\nHost: rom\r\n\r\n",
        lambda n: b"GET " + b"a:" * (n // 2) + b"\r\n\r\n",
        lambda n: b"G" * n + b"\r\n\r\n",
        lambda n: GET + b"Host: " + b"%41" * (n // 3) + b"@\r\n\r\n",
        lambda n: CHUNKED + b"2;" + b"a=" * (n // 2) + b"!\r\n",
        lambda n: CHUNKED + b'2;a="' + b"\\a" * (n // 2),
        lambda n: CHUNKED + b"0" * n + b"\r\n",
        lambda n: CHUNKED + b"0\r\n" + b"A: b\r\n" * (n // 6),
        lambda n: CHUNKED + b"\r\n" * (n // 2),
    ],
)
def test_time_is_linear_in_what_comes(make: Any) -> None:
    """Not its square: eight times the bytes take no more than forty times as long, and 31 kB less than 50 ms."""
    times = list(_doubling(make))
    assert times[-1] < 0.05 or times[-1] < 40 * times[0], times


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [
                GET,
                POST,
                CHUNKED,
                b"\r\n",
                b"2\r\nab\r\n",
                b"0\r\n\r\n",
                b" ",
                b":",
                b"\x00",
                b"Expect: 100-continue\r\n",
            ]
        )
    ),
    st.integers(1, 40),
)
def test_how_it_is_cut_changes_nothing(pieces: list[bytes], size: int) -> None:
    """The same bytes have the same end in one piece and in many."""
    data = b"".join(pieces)
    whole, cut = Parsing().feed(data), Parsing().feed(data, size)
    for one, other in pairwise((whole, cut)):
        assert (one.completed, one.error is None, one.refusal is None) == (
            other.completed,
            other.error is None,
            other.refusal is None,
        )
