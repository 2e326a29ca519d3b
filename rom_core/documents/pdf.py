"""A look into a PDF: whether it can be read, how many pages it has, and what is hidden in it."""

from __future__ import annotations

import io
import logging
from typing import Any, Final

from pypdf import PdfReader
from pypdf.errors import LimitReachedError, PyPdfError

from rom_core.documents.hidden_pdf import hidden_in
from rom_core.documents.verdict import Budget, Refused, Verdict

# What the models on Bedrock read at most of one.
MAX_PAGES: Final = 1000


def look_into_pdf(data: bytes, budget: Budget) -> Verdict:
    """Raises Refused, and what the library raises for a broken one."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted:
            raise Refused("encrypted", "the PDF is encrypted")
        pages = _count(reader)
        found, whole = hidden_in(reader, budget)
    except LimitReachedError as error:
        raise Refused("too_complex", f"it takes too much to read ({error})"[:200]) from None
    except PyPdfError as error:
        raise Refused("broken", f"the PDF cannot be read ({type(error).__name__})") from None
    return Verdict(format="pdf", pages=pages, findings=tuple(found), unseen=not whole)


def _count(reader: PdfReader) -> int:
    """The pages, counted; what the file itself says of their number may be wrong, and is believed if it is too many."""
    tree: Any = reader.root_object["/Pages"].get_object()
    stated = tree.get("/Count", 0)
    if isinstance(stated, int) and stated > MAX_PAGES:
        raise Refused("too_many_pages", f"the PDF has {int(stated)} pages; the limit is {MAX_PAGES}")
    count = len(reader.pages)
    if count > MAX_PAGES:
        raise Refused("too_many_pages", f"the PDF has {count} pages; the limit is {MAX_PAGES}")
    if not count:
        raise Refused("broken", "the PDF has no pages")
    return count
