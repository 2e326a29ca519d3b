"""A look into a DOCX or XLSX: a ZIP of XML parts, whose declared sizes may lie."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Final

from rom_core.documents.hidden_docx import hidden_in
from rom_core.documents.verdict import Budget, Refused, Verdict

_MAIN: Final = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml"}
MAX_PARTS: Final = 5000
MAX_UNPACKED: Final = 200 * 1024 * 1024
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)
_PIECE: Final = 64 * 1024
_ENCRYPTED: Final = 0x1


def look_into_ooxml(data: bytes, formats: list[str], budget: Budget) -> Verdict:
    """What it is by its main part. Raises Refused, and what the library raises for a broken one."""
    try:
        package = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise Refused("broken", f"the ZIP cannot be read: {error}") from None
    with package:
        parts = package.infolist()
        if len(parts) > MAX_PARTS:
            raise Refused("too_complex", f"it has {len(parts)} parts; the limit is {MAX_PARTS}")
        names = {part.filename for part in parts}
        found = next((name for name, main in _MAIN.items() if main in names), "")
        if any(part.flag_bits & _ENCRYPTED for part in parts):
            raise Refused("encrypted", "parts of it are encrypted")
        if not found:
            raise Refused("mislabelled", "it is a ZIP, but neither a DOCX nor an XLSX")
        if found not in formats:
            raise Refused("mislabelled", f"the label says {formats[0].upper()}, the content is {found.upper()}")
        _unpack(package, parts)
        hidden, whole = hidden_in(package, budget) if found == "docx" else ([], True)
    return Verdict(format=found, findings=tuple(hidden), unseen=not whole)


def _unpack(package: zipfile.ZipFile, parts: list[zipfile.ZipInfo]) -> None:
    """Read every part once, in pieces, and keep nothing."""
    total = 0
    for part in parts:
        try:
            with package.open(part) as stream:
                while piece := stream.read(_PIECE):
                    total += len(piece)
                    if total > MAX_UNPACKED:
                        raise Refused("too_complex", f"unpacked it has more than {MAX_UNPACKED} bytes")
        except _UNREADABLE as error:
            raise Refused("broken", f"a part of the ZIP cannot be read ({type(error).__name__})") from None
