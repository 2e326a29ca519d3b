"""Which documents of a request the model is to cite, and the texts in which its quotes are looked up.

On Bedrock's Converse citations are taken on PDFs and on plain text that is not sent as bytes; on a document in the
result of a tool they are not; and Anthropic's models take them on all documents of a request or on none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rom_core.documents.attachment import Attachment
from rom_core.documents.kinds import KINDS, text_of
from rom_core.documents.quotes import Source
from rom_core.documents.verdict import Verdict

NOT_CITED: Final = "citations_not_possible"
NOT_CHECKED: Final = "citations_not_checked"
_NOT_CITED: Final = (
    'As citações foram dispensadas nesta resposta: o arquivo "{name}" não pode ser citado. '
    "Envie-o em PDF, DOCX ou texto, ou pergunte sobre os outros arquivos sem ele."
)
_NO_TEXT: Final = (
    'O arquivo "{name}" não tem texto que se possa extrair (parece digitalizado): citações dele não podem ser '
    "conferidas e não são mostradas. Envie uma versão com texto (OCR)."
)
_CUT: Final = (
    'O texto do arquivo "{name}" não pôde ser lido por inteiro: citações das partes que não foram lidas não podem ser '
    "conferidas e não são mostradas."
)
Warnings = list[dict[str, Any]]


def sources_of(
    files: Sequence[Attachment], verdicts: Sequence[Verdict], in_messages: Sequence[bool]
) -> tuple[dict[int, Source], Warnings]:
    """The documents to be cited, by their place among the files, and what the person is to know.

    None of them if one cannot be cited. `in_messages`: which files stand in a message itself, and not in a result.
    """
    sources: dict[int, Source] = {}
    warnings: Warnings = []
    for number, (file, verdict) in enumerate(zip(files, verdicts, strict=True)):
        kind = KINDS[verdict.format]
        if kind.block != "document" or not in_messages[number]:
            continue
        source = Source(len(sources), file.name)
        if kind.format == "pdf":
            source.pages = verdict.texts or ("",)
        elif kind.signature == "text":
            source.text = text_of(file.data) or ""
        else:
            # The model gets our text in its place: it must be all of it.
            source.text = "" if verdict.cut else "".join(verdict.texts)
        if not source.pages and not source.text.strip():
            return {}, [_warning(NOT_CITED, _NOT_CITED, file.name)]
        sources[number] = source
        if kind.format == "pdf" and not any(page.strip() for page in source.pages):
            warnings.append(_warning(NOT_CHECKED, _NO_TEXT, file.name))
        elif kind.format == "pdf" and verdict.cut:
            warnings.append(_warning(NOT_CHECKED, _CUT, file.name))
    return sources, warnings


def cited(source: Source, name: str, data: bytes) -> dict[str, Any]:
    """The document, under the name that the model knows it by, with citations asked for."""
    content: dict[str, Any] = {"format": "pdf", "source": {"bytes": data}}
    if not source.pages:
        content = {"format": "txt", "source": {"text": source.text}}
    return {"document": {"name": name, **content, "citations": {"enabled": True}}}


def _warning(code: str, text: str, name: str) -> dict[str, Any]:
    return {"code": code, "attachment": name, "text": text.format(name=name)}
