"""Files made by the libraries that people's programs use, and what is wrong with some of them."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from docx import Document
from openpyxl import Workbook
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

READS: dict[str, Any] = {
    "alias": "reads",
    "id": "reads-v1",
    "max_tokens": 100,
    "prompt_caching": False,
    "price_input": 1.0,
    "price_output": 1.0,
    "documents": True,
    "images": True,
}
"""The row of a model that reads documents and images."""
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def pdf(draw: Callable[[Canvas], object] | None = None, *, pages: int = 1, **options: Any) -> bytes:
    """A PDF with one line on each page, and what `draw` adds to the first."""
    made = io.BytesIO()
    canvas = Canvas(made, **options)
    for number in range(pages):
        canvas.drawString(72, 720, f"Excelentissimo Senhor Doutor Juiz de Direito, folha {number + 1}")
        if draw is not None and not number:
            draw(canvas)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def encrypted_pdf() -> bytes:
    """One that asks for a password."""
    return pdf(encrypt=StandardEncryption("senha", canPrint=0))


def scanned_pdf() -> bytes:
    """A PDF whose page is a picture."""
    made = io.BytesIO()
    canvas = Canvas(made)
    canvas.drawInlineImage(Image.new("RGB", (40, 30), 7), 0, 0, 595, 842)
    canvas.showPage()
    canvas.save()
    return made.getvalue()


def docx(change: Callable[[Any], object] | None = None, *, text: str = "Petição inicial") -> bytes:
    """A DOCX with a paragraph, and what `change` does to it."""
    document, made = Document(), io.BytesIO()
    document.add_paragraph(text)
    if change is not None:
        change(document)
    document.save(made)
    return made.getvalue()


def xlsx() -> bytes:
    """An XLSX with a row."""
    book, made = Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet.append(["parcela", 1234.5])
    book.save(made)
    return made.getvalue()


def image(image_format: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    """An image of one colour."""
    made = io.BytesIO()
    Image.new("RGB" if image_format != "GIF" else "P", size, 7).save(made, image_format)
    return made.getvalue()


def zipped(**parts: bytes) -> bytes:
    """A ZIP with these parts; `__` in a name is a slash, `_` a dot."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name.replace("__", "/").replace("_", "."), content)
    return made.getvalue()


def docx_of_a_gigabyte() -> bytes:
    """A DOCX whose one part has a gigabyte of spaces, in a megabyte."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package,
        package.open("word/document.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(1024):
            part.write(b" " * (1 << 20))
    return made.getvalue()


def raw_pdf(*objects: bytes, root: int = 1) -> bytes:
    """A PDF of these objects, numbered from 1."""
    made, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    made += b"trailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, start)
    return bytes(made)


def pdf_of_many_pages(number: int = 100_000) -> bytes:
    """A PDF that names one page that often, and says so."""
    kids = b"3 0 R " * number
    return raw_pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, number),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
    )


def deeply_nested_pdf(depth: int = 50_000) -> bytes:
    """A PDF whose tree of pages is a chain."""
    chain = (b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (number + 3) for number in range(depth))
    return raw_pdf(b"<< /Type /Catalog /Pages 2 0 R >>", *chain, b"<< /Type /Page /MediaBox [0 0 595 842] >>")


def pdf_that_unpacks_to_a_gigabyte() -> bytes:
    """A PDF whose page is a gigabyte of spaces, packed twice: a few kilobytes."""
    packer, packed = zlib.compressobj(9), b""
    for _ in range(1024):
        packed += packer.compress(b" " * (1 << 20))
    packed = zlib.compress(packed + packer.flush(), 9)
    filters = b"/Filter [/FlateDecode /FlateDecode]"
    return raw_pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
        b"<< %s /Length %d >>\nstream\n%s\nendstream" % (filters, len(packed), packed),
    )


def attached(data: bytes, name: str, media_type: str | None = None) -> dict[str, str]:
    """An entry of `attachments`."""
    entry = {"name": name, "data": base64.b64encode(data).decode()}
    return entry if media_type is None else entry | {"media_type": media_type}
