"""What comes in on a connection, made a request: waitress's parser behind checks that cost time linear in what came.

waitress's own patterns take time that grows with the square of a run of spaces or of a long target, it keeps trailers
and chunk extensions of any length, and it reads on where another server on the way may see the end of the request.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from rom_core.concurrency.body_room import BodyRoom
from rom_core.errors import Overloaded, PayloadTooLarge, RomError

MAX_HEAD_BYTES = 32 * 1024
MAX_LINE_BYTES = 8 * 1024
MAX_HEADERS = 100
MAX_SPACES = 16
# Of chunks: one line between them, what follows the last one, and what surrounds the data, beside so many times the
# data itself. One byte a chunk is clumsy but allowed, and surrounded by five.
_MAX_CHUNK_LINE = 1024
_MAX_TRAILER = 8 * 1024
_MAX_AROUND_CHUNKS = 64 * 1024
_AROUND_A_BYTE = 8

ADMIN = "/admin/"
# Room is made when turns end: half of them take less.
_ROOM_SECONDS = 10.0

_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Z]+ [^\x00-\x20\x7f]+ HTTP/(?P<major>[0-9])\.(?P<minor>[0-9])")
# Control characters, and a CR or LF by itself: what the end of a line is, must not be a matter of opinion.
_NEVER_IN_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")
_MANY_SPACES = re.compile(rb"[ \t]{%d}" % (MAX_SPACES + 1))
# RFC 9110, 7.2: a name, an IPv4 or a bracketed IPv6 address, perhaps a port; empty where the target has no authority.
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?")


class UriTooLong(Error):
    """The first line is longer than any that is served."""

    code = 414
    reason = "URI Too Long"


class VersionNotSupported(Error):
    """Neither HTTP/1.0 nor HTTP/1.1."""

    code = 505
    reason = "HTTP Version Not Supported"


class _Refused(ParsingError):
    """Carries the error with which to answer, where it is not 400."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.body)
        self.error = error


# A refusal; the most bytes that the body may have; or None, where nobody will read it.
Decide = Callable[["Parser"], RomError | int | None]


class Parser(HTTPRequestParser):
    """One request.

    `error` is waitress's: the request cannot be read. `refusal` is ours: its head suffices to say no. Then, and where
    nobody would read its body, it is the last of its connection, and what follows its head is not looked at.
    """

    # A request that cannot be read has neither.
    command: Any = ""
    path = request_uri = ""
    refusal: RomError | None = None
    _last = False
    _precise: Error | None = None

    def __init__(self, adj: Any, decide: Decide, ends: Callable[[], None], room: BodyRoom | None = None) -> None:
        """`decide` is asked once the head of a request with a body is here.

        `ends` is called if this is the last request of its connection. `room` bounds the bodies of all together; what
        an administrator sends is let in without it.
        """
        super().__init__(adj)
        self._decide = decide
        self._max_body = 0
        self._ends = ends
        self._room = room or BodyRoom()
        self._share = self._room.share()

    def received(self, data: bytes) -> int:
        """Take in what came; how much of it belongs to this request."""
        in_head = not self.headers_finished
        if in_head and not self._readable(data):
            self.error = BadRequest("control characters, or a CR or LF by itself")
            self.completed = True
        used = super().received(data)
        self.error = (self.error and self._precise) or self.error
        if self.empty:
            # One before a request is a habit of old clients, and waitress overlooks it; a stream of them has no end.
            self.error = BadRequest("empty lines where a request should begin")
        if self.completed:
            # A request that is complete waits for nothing, and waitress would wait for its body once more.
            self.expect_continue = False
        if self.error is None and self.body_rcv is not None:
            self._look_at_body(in_head)
        if self.error is None and not self._last:
            return used
        self.expect_continue = False
        self._ends()
        return len(data)

    def parse_header(self, header_plus: Any) -> None:
        """The first line and the headers, checked. Raises ParsingError."""
        first, *lines = header_plus.removesuffix(b"\r\n\r\n").split(b"\r\n")
        try:
            _check_headers(lines, _check_line(first))
            super().parse_header(header_plus)
            self._check_authority()
        except _Refused as refused:
            self._precise = refused.error
            raise
        except ValueError as error:
            # A number of more digits than Python reads, or a target that is no URI.
            raise ParsingError(str(error)) from None
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("send either Transfer-Encoding or Content-Length")
        # waitress takes the header away where it heeds it.
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("HTTP/1.0 has no Transfer-Encoding")
        if isinstance(self.body_rcv, ChunkedReceiver):
            self.body_rcv = _Chunks(self.body_rcv.getbuf())

    def _check_authority(self) -> None:
        """RFC 9112, 3.2.2: a target with an authority counts instead of Host. Raises ParsingError if they differ."""
        waitress: Any = self
        if waitress.proxy_scheme and waitress.proxy_netloc.lower() != waitress.headers.get("HOST", "").lower():
            raise ParsingError("the target names another host than the Host header")

    def _readable(self, data: bytes) -> bool:
        """Whether the part of `data` that belongs to the head may stand there."""
        # With the last bytes before it: the end of a line, and that of the head, may come in two pieces.
        before = self.header_plus[-3:]
        piece = before + data
        end = piece.find(b"\r\n\r\n")
        return _NEVER_IN_HEAD.search(piece if end < 0 else piece[: end + 4], max(0, len(before) - 1)) is None

    def _look_at_body(self, announced: bool) -> None:
        """Refuse it for the head, as `announced`, or for what has come of it."""
        body: Any = self.body_rcv
        if announced:
            decision = self._decide(self)
            if decision is None or isinstance(decision, RomError):
                self._give_up_body(decision)
                return
            self._max_body = decision
        refusal = self._too_much(len(body), max(self.content_length, len(body)) if announced else len(body))
        if refusal is not None:
            self._give_up_body(refusal)
        elif self.body_bytes_received - len(body) > _MAX_AROUND_CHUNKS + _AROUND_A_BYTE * len(body):
            self.error, self.completed = BadRequest("more around the chunks than in them"), True

    def _too_much(self, here: int, expected: int) -> RomError | None:
        """Why no more of the body is taken, of which so many bytes are `here`."""
        if expected > self._max_body:
            if expected > here:
                return PayloadTooLarge(f"the body has {expected} bytes; the limit is {self._max_body}")
            return PayloadTooLarge(f"the body has more than {self._max_body} bytes, which is the limit")
        if str(self.path).startswith(ADMIN):
            return None
        if self._room.has_room(expected - here) and self._share.grow_to(here):
            return None
        return Overloaded("too many bytes of requests are here already", retry_after=_ROOM_SECONDS)

    def close(self) -> None:
        """The request is answered, or nobody will answer it."""
        super().close()
        self._share.give_back()

    def _give_up_body(self, refusal: RomError | None) -> None:
        self.refusal = refusal
        self.completed = self._last = True
        self.close()
        self.body_rcv = None
        headers: Any = self.headers
        headers["CONTENT_LENGTH"] = "0"
        headers["CONNECTION"] = "close"


class _Chunks(ChunkedReceiver):
    """A body in chunks, of which everything that is not the body is bounded."""

    def received(self, s: bytes) -> int:
        """Take in what came; how much of it belongs to the body."""
        used = super().received(s)
        if self.error is None and (len(self.control_line) > _MAX_CHUNK_LINE or len(self.trailer) > _MAX_TRAILER):
            self.error = BadRequest("a line between the chunks, or what follows them, is too long")
        return used


def _check_line(line: bytes) -> tuple[bytes, bytes]:
    """The version in the first line. Raises ParsingError."""
    if len(line) > MAX_LINE_BYTES:
        raise _Refused(UriTooLong(f"the first line is longer than {MAX_LINE_BYTES} bytes"))
    match = _LINE.fullmatch(line)
    if match is None:
        raise ParsingError("the first line is not `METHOD target HTTP/1.1`")
    version = match["major"], match["minor"]
    if version not in ((b"1", b"0"), (b"1", b"1")):
        raise _Refused(VersionNotSupported("this is HTTP/1.1 and HTTP/1.0"))
    return version


def _check_headers(lines: list[bytes], version: tuple[bytes, bytes]) -> None:
    """Raises ParsingError."""
    if len(lines) > MAX_HEADERS:
        raise _Refused(RequestHeaderFieldsTooLarge(f"more than {MAX_HEADERS} headers"))
    hosts, codings = [], []
    for line in lines:
        if line.startswith((b" ", b"\t")):
            raise ParsingError("a header continued on the next line")
        if _MANY_SPACES.search(line):
            raise ParsingError(f"more than {MAX_SPACES} spaces in a row in a header")
        name, _, value = line.partition(b":")
        if name.lower() == b"host":
            hosts.append(value.strip(b" \t"))
        elif name.lower() == b"transfer-encoding":
            codings.append(value.strip(b" \t").lower())
    # RFC 9112, 6.1: once. waitress takes a list of nothing for no header, and several for one.
    if len(codings) > 1 or any(not coding.strip(b", \t") or coding.count(b"chunked") > 1 for coding in codings):
        raise ParsingError("Transfer-Encoding is `chunked`, once")
    if len(hosts) > 1 or (version == (b"1", b"1") and not hosts):
        raise ParsingError("a request has one Host header")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise ParsingError("the Host header names no host")
