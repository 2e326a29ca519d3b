"""Output that nobody reads: nothing that writes waits, what is lost is counted, and what fits arrives in order."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rom_core.telemetry.output import LineStream, Output

SOON = 60.0
PIPE_BYTES = 64 * 1024


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Read and write end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def drained(fd: int, enough: Callable[[bytes], bool]) -> bytes:
    """What comes out of a pipe until it is enough."""
    text = b""
    while not enough(text):
        text += os.read(fd, 1 << 20)
    return text


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    """100,000 of them to a reader that is slower than the writer, from four threads: nothing is lost or mixed."""
    read, write = pipe
    output = Output(write, max_bytes=64 * 1024 * 1024)
    total, writers = 100_000, 4

    def say(who: int) -> None:
        for number in range(total // writers):
            output.write(f"{who} {number} {'x' * 60}\n")

    threads = [threading.Thread(target=say, args=(who,)) for who in range(writers)]
    for thread in threads:
        thread.start()
    text = drained(read, lambda text: text.count(b"\n") == total)
    for thread in threads:
        thread.join(SOON)
    seen: dict[bytes, list[int]] = {}
    for line in text.splitlines():
        who, number, rest = line.split(b" ")
        assert rest == b"x" * 60
        seen.setdefault(who, []).append(int(number))
    assert list(map(len, seen.values())) == [total // writers] * writers
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert output.dropped == 0
    assert output.flush(SOON)


def test_what_nobody_reads_is_dropped_counted_and_said_when_reading_goes_on(pipe: tuple[int, int]) -> None:
    """Nobody who writes waits; the news stands where the lines are missing, and lines after it are written again."""
    read, write = pipe
    output = Output(write, max_bytes=100_000)
    output.resumed = lambda count: output.write(f"missing {count}\n")
    line = "x" * 999 + "\n"
    for _ in range(1000):
        output.write(line)
    dropped = output.dropped
    assert 1000 - (100_000 + PIPE_BYTES) // 1000 - 1 <= dropped <= 900
    assert not output.flush(0)
    text = drained(read, lambda text: b"missing" in text and text.endswith(b"\n"))
    output.write("after\n")
    text += drained(read, lambda text: text.endswith(b"after\n"))
    assert text == line.encode() * (1000 - dropped) + f"missing {dropped}\nafter\n".encode()
    assert output.dropped == dropped


def test_an_output_that_takes_nothing_costs_nobody_anything() -> None:
    """A closed pipe: every line is counted as dropped, and the thread does not spin on the news of it."""
    read, write = os.pipe()
    os.close(read)
    output = Output(write)
    news: list[int] = []
    output.resumed = news.append
    for number in range(10):
        output.write(f"{number}\n")
    assert output.flush(SOON)
    os.close(write)
    assert (output.dropped, news) == (10, [])


def test_a_pipe_that_somebody_made_non_blocking_is_written_all_the_same(pipe: tuple[int, int]) -> None:
    """Whoever shares a pipe with us shares its flags."""
    read, write = pipe
    os.set_blocking(write, False)
    output = Output(write)
    output.write("x" * 300_000 + "\n")
    assert len(drained(read, lambda text: text.endswith(b"\n"))) == 300_001


def test_a_stream_hands_on_whole_lines(pipe: tuple[int, int]) -> None:
    """`print` writes a line and its end apart; what UTF-8 cannot hold is escaped, a line without end goes in pieces."""
    read, write = pipe
    stream = LineStream(Output(write))
    print("é\ud800", 1, file=stream)
    stream.write("begun")
    text = drained(read, lambda text: text.endswith(b"\n"))
    assert text == "é\\ud800 1\n".encode()
    stream.write(" and ended\nnext")
    assert drained(read, lambda text: text.endswith(b"\n")) == b"begun and ended\n"
    stream.flush()
    assert drained(read, bool) == b"next"
    stream.write("y" * 70_000)
    assert drained(read, lambda text: text.endswith(b"\n")) == b"y" * 70_000 + b"\n"
    assert (stream.fileno(), stream.isatty(), stream.writable()) == (write, False, True)
    assert isinstance(stream, io.TextIOBase)


PROGRAM = """
import logging, sys, traceback
from rom_core.telemetry import log, output
output.take_over()
log.configure("json", "INFO")
{body}
"""


def running(body: str, **streams: int) -> subprocess.Popen[bytes]:
    """A process of its own that has taken its outputs over."""
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    return subprocess.Popen(command, **streams)  # type: ignore[call-overload, no-any-return]


def test_prints_tracebacks_and_libraries_on_both_outputs_go_the_same_way() -> None:
    """Where both are one pipe their lines keep their order, and all of it is there when the process ends."""
    body = """
print("printed")
logging.getLogger("library").warning("logged")
print("to stderr", file=sys.stderr)
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
for number in range(5000):
    print("line", number)
raise SystemExit(3)
"""
    process = running(body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = process.communicate(timeout=SOON)
    lines = out.decode().splitlines()
    assert process.returncode == 3
    assert lines[0] == "printed"
    assert '"event": "logged"' in lines[1]
    assert lines[2:4] == ["to stderr", "Traceback (most recent call last):"]
    assert lines[-5001] == "ZeroDivisionError: division by zero"
    assert lines[-5000:] == [f"line {number}" for number in range(5000)]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_process_whose_output_nobody_reads_ends(name: str) -> None:
    """Whatever it has written: the end waits for FLUSH_SECONDS at most."""
    body = f"""
for _ in range(3000):
    print("x" * 1000, file=sys.{name})
    logging.getLogger("library").warning("x" * 1000)
    sys.stderr.write("x" * 1000)
assert output.lines_dropped() == 0
for _ in range(20000):
    print("x" * 1000, file=sys.{name})
assert output.lines_dropped() > 1000
"""
    process = running(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.wait(SOON) == 0
    finally:
        process.kill()
        process.communicate()


def test_whoever_reads_on_is_told_in_the_log_how_many_lines_are_missing() -> None:
    """One line, in its place: an operator who reads on knows what is not there."""
    body = """
for number in range(20000):
    print("x" * 1000)
print(output.lines_dropped(), file=sys.stderr)
sys.stdin.read()
"""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = running(body, **pipes)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        dropped = int(process.stderr.readline())
        lines: list[str] = []
        while "log.lines_dropped" not in (lines or [""])[-1]:
            lines.append(process.stdout.readline().decode())
            assert lines[-1], "it has ended"
        rest, _ = process.communicate(timeout=SOON)
    finally:
        process.kill()
        process.communicate()
    news = json.loads(lines.pop())
    assert (news["level"], news["count"]) == ("error", dropped)
    assert len(lines) + dropped == 20000
    assert rest == b""


def test_a_stream_of_text_refuses_bytes(pipe: tuple[int, int]) -> None:
    """As every one does: click asks so whether it may write text, and would show a person the bytes of a message."""
    stream: Any = LineStream(Output(pipe[1]))
    with pytest.raises(TypeError, match="not bytes"):
        stream.write(b"")
