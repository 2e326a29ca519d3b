"""The listening socket, over real sockets: what it refuses by itself, and how it is bound."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from server_support import Serve, exchange
from structlog.testing import capture_logs
from support import make_settings

from rom_core.http.server.listener import listen

_BOTH_LENGTHS = (
    b"POST /api/chat HTTP/1.1\r\nHost: rom\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    b"GET /health HTTP/1.1\r\nHost: rom\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /health HTTP/1.1\r\nHost rom\r\n\r\n", 400, "malformed_request"),
        (b"GET /health HTTP/1.1\r\nHost: rom\r\nA: " + b"x" * (1 << 18), 431, "http_error"),
        (b"POST /api/chat HTTP/1.1\r\nHost: rom\r\nContent-Length: 999999999\r\n\r\n", 413, "payload_too_large"),
        (b"POST /api/chat HTTP/1.1\r\nHost: rom\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "http_error"),
        (_BOTH_LENGTHS, 400, "malformed_request"),
        (_BOTH_LENGTHS.replace(b"Host: rom", b"Expect: 100-continue"), 400, "malformed_request"),
        (_BOTH_LENGTHS.replace(b"1.1\r\nHost: rom", b"1.0\r\nConnection: keep-alive"), 400, "malformed_request"),
    ],
)
def test_what_the_server_itself_refuses_is_a_problem_too(serve: Serve, request_: bytes, status: int, code: str) -> None:
    """Before there is a request to speak of: the same body, the operator's text, ids, and a log line with them."""
    told = f"Texto do operador para {code}."
    _, server = serve(TEXT_ERRORS={code: told})
    with capture_logs() as logs:
        answered, headers, body = exchange(server, request_)
    problem = json.loads(body)
    assert (answered, problem["status"], problem["code"]) == (status, status, code)
    assert problem["user_message"] == told
    assert ("MAX_BODY_BYTES" in problem["detail"]) == (status == 413)
    assert headers["content-type"] == "application/problem+json"
    assert headers.get("x-should-retry") == (None if status == 431 else "false")
    assert problem["trace_id"] == headers["x-trace-id"]
    assert problem["request_id"] == headers["x-request-id"] == headers["request-id"]
    assert [line["trace_id"] for line in logs if line["event"] == "http.refused"] == [problem["trace_id"]]


def resolver(*addresses: str) -> Callable[..., Any]:
    """Answers as a name with these addresses."""

    def resolve(host: str | None, port: int | str, *_: Any, **__: Any) -> list[Any]:
        if host in addresses:
            return [_entry(str(host), int(port))]
        return [_entry(address, int(port)) for address in addresses]

    return resolve


def _entry(address: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (
        family,
        socket.SOCK_STREAM,
        socket.IPPROTO_TCP,
        "",
        (address, port, 0, 0) if ":" in address else (address, port),
    )


def test_a_name_with_several_addresses_is_bound_once(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One socket and one port, on an IPv4 address if the name has one, and it can be stopped."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver("::1", "127.0.0.1"))
    _, server = serve(HOST="localhost")
    monkeypatch.undo()
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert exchange(server, b"GET /health HTTP/1.0\r\n\r\n")[0] == 200


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_url_of_an_ipv6_address_has_brackets(serve: Serve, host: str) -> None:
    """A client can use it as it is logged."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        # A machine without IPv6 says so in words, and gives the URL of such an address all the same.
        with pytest.raises(OSError, match=r"\w+"):
            serve(HOST=host)
        _, server = serve()
        server._server.effective_host = "::1"
    else:
        _, server = serve(HOST=host)
    assert server.url == f"http://[::1]:{server.port}"


@pytest.mark.parametrize("host", ["..a", "nowhere.invalid"])
def test_a_host_that_is_none_is_a_readable_error(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError with words, as for a port that is taken; the command prints those."""
    if host == "nowhere.invalid":

        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError, match=r"\w+") as raised:
        listen(None, None, make_settings, host=host, port=0)
    assert raised.value.strerror
