"""Memory and time of files: six turns at once, each with a PDF of 4 MB, and bombs, one after the other.

Memory is that of the server with the processes that look into files, sampled, against 2 GB.
"""

from __future__ import annotations

import base64
import io
import os
import statistics
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from bench.harness import bedrock, memory_mb, process, rom_environ, rom_url

TURNS = 6
ROUNDS = 2
SIZE = 4_000_000
BUDGET_MB = 0.6 * 2048
BUDGET_SECONDS = 10.0
_LINES = 54
_SAMPLE_SECONDS = 0.02
_WORDS = "O autor requer a procedência do pedido com a condenação do réu ao pagamento das custas, folha "


def main() -> None:
    """Print one line for each kind of file."""
    arguments, url_of = bedrock()
    with (
        process(arguments, url_of) as (endpoint, _),
        process(["-m", "rom_core", "serve"], rom_url, **rom_environ(endpoint, plugins=True)) as (url, pid),
    ):
        idle = memory_mb(pid)
        print(f"\n{TURNS} turns at once, each with a PDF of {SIZE / 1e6:.0f} MB; idle {idle:.0f} MB")
        print(f"{'':28}{'answers':>28}{'p50 s':>8}{'max s':>8}{'server MB':>11}{'all MB':>8}{'of 2 GB':>9}")
        for title, make in {"text, 500 pages": text_pdf, "scanned, 13 pages": scanned_pdf}.items():
            for how, send in {"as base64": in_json, "as a form": in_a_form}.items():
                files = [[make(TURNS * round_ + turn) for turn in range(TURNS)] for round_ in range(ROUNDS)]
                _print(f"{title}, {how}", [_at_once(url, pid, each, send) for each in files])
        print(f"\n{'bombs':28}{'answer':>28}{'s':>8}{'server MB more':>16}")
        for title, (name, data) in bombs().items():
            _print_bomb(title, url, pid, name, data)


Send = Callable[[str, str, bytes], tuple[str, float]]
Result = tuple[Counter[str], list[float], float, float]


def _print(title: str, rounds: Sequence[Result]) -> None:
    answers: Counter[str] = sum((one[0] for one in rounds), Counter())
    seconds = [second for one in rounds for second in one[1]]
    server, whole = max(one[2] for one in rounds), max(one[3] for one in rounds)
    told = ", ".join(f"{number} {code}" for code, number in answers.most_common())
    over = "" if whole <= BUDGET_MB and max(seconds) <= BUDGET_SECONDS else "  over the bound"
    print(
        f"{title:28}{told:>28}{statistics.median(seconds):8.1f}{max(seconds):8.1f}{server:11.0f}{whole:8.0f}"
        f"{whole / 2048:9.0%}{over}"
    )


def _print_bomb(title: str, url: str, pid: int, name: str, data: bytes) -> None:
    before = memory_mb(pid)
    with watched(pid) as highest:
        code, seconds = in_json(url, name, data)
    print(f"{title:28}{code:>28}{seconds:8.1f}{highest['server'] - before:16.0f}")


def _at_once(
    url: str, pid: int, files: Sequence[bytes], send: Callable[[str, str, bytes], tuple[str, float]]
) -> Result:
    """Answers by code, the seconds of each, and the most memory of the server, and of it with what it has started."""
    done: list[tuple[str, float]] = []
    threads = [threading.Thread(target=lambda data=data: done.append(send(url, "peticao.pdf", data))) for data in files]
    with watched(pid) as highest:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return Counter(code for code, _ in done), [seconds for _, seconds in done], highest["server"], highest["all"]


@contextmanager
def watched(pid: int) -> Iterator[Mapping[str, float]]:
    """The most memory in MB meanwhile: `server`, and `all` with the processes that it started."""
    highest, stop = {"server": 0.0, "all": 0.0}, threading.Event()

    def watch() -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            server = memory_mb(pid)
            highest["server"] = max(highest["server"], server)
            highest["all"] = max(highest["all"], server + sum(map(_memory_of_child, _children(pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield highest
    finally:
        stop.set()
        thread.join()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _memory_of_child(pid: int) -> float:
    try:
        return memory_mb(pid)
    except (OSError, StopIteration, IndexError, ValueError):
        return 0.0


def in_json(url: str, name: str, data: bytes) -> tuple[str, float]:
    """Ask as a program does; code and seconds."""
    encoded = base64.b64encode(data).decode()
    body = {"message": "Resuma.", "attachments": [{"name": name, "data": encoded}]}
    return _timed(lambda: requests.post(f"{url}/api/chat", json=body, timeout=120))


def in_a_form(url: str, name: str, data: bytes) -> tuple[str, float]:
    """Ask as a browser does; code and seconds."""
    files = {"attachments": (name, data)}
    return _timed(lambda: requests.post(f"{url}/api/chat", data={"message": "Resuma."}, files=files, timeout=120))


def _timed(ask: Callable[[], requests.Response]) -> tuple[str, float]:
    began = time.perf_counter()
    answer = ask()
    return str(answer.json().get("code", "answered")), time.perf_counter() - began


def text_pdf(number: int) -> bytes:
    """500 pages of text, uncompressed, of about SIZE bytes together."""
    made = io.BytesIO()
    canvas = Canvas(made, pageCompression=0)
    for page in range(500):
        for line in range(_LINES):
            canvas.drawString(50, 800 - 12 * line, f"{_WORDS}{number}-{page}-{line}"[:112])
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def scanned_pdf(_number: int) -> bytes:
    """13 pages that are images, of about SIZE bytes together."""
    made = io.BytesIO()
    canvas = Canvas(made)
    for _ in range(13):
        picture = io.BytesIO()
        Image.frombytes("L", (800, 640), os.urandom(800 * 640)).save(picture, "JPEG", quality=60)
        canvas.drawImage(ImageReader(picture), 0, 0, 595, 842)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def bombs() -> Mapping[str, tuple[str, bytes]]:
    """Small files that are large inside, by what they are: name and content."""
    package = io.BytesIO()
    with (
        zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as office,
        office.open("word/document.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(1024):
            part.write(b" " * (1 << 20))
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(1024)) + packer.flush()
    packed = zlib.compress(packed, 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>"
    stream = b"<< /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n%s\nendstream" % (len(packed), packed)
    many = b"3 0 R " * 100_000
    return {
        "a DOCX of a gigabyte": ("a.docx", package.getvalue()),
        "a PDF of a gigabyte": ("a.pdf", _raw_pdf(b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, stream)),
        "a PDF of 100,000 pages": (
            "a.pdf",
            _raw_pdf(b"<< /Type /Pages /Kids [%s] /Count 100000 >>" % many, page.replace(b"/Contents 4 0 R ", b"")),
        ),
        "a text of 20 MB": ("a.txt", b"x" * 20_000_000),
    }


def _raw_pdf(*objects: bytes) -> bytes:
    made, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate((b"<< /Type /Catalog /Pages 2 0 R >>", *objects), start=1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
    made += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    made += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, start)
    return bytes(made)


if __name__ == "__main__":
    main()
