"""All files of a request: counted, named, looked into, and made the blocks that Converse takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rom_core.documents.attachment import Attachment, document_name
from rom_core.documents.citable import cited, sources_of
from rom_core.documents.examiner import Examiner
from rom_core.documents.kinds import KINDS, Kind, text_of
from rom_core.documents.quotes import Source, Sources
from rom_core.documents.texts import suspicion, warnings_of
from rom_core.documents.verdict import Reason, Verdict
from rom_core.errors import (
    AttachmentBroken,
    AttachmentEmpty,
    AttachmentEncrypted,
    AttachmentMislabelled,
    AttachmentNotReadByModel,
    AttachmentRefused,
    AttachmentTooComplex,
    AttachmentTooManyPages,
    ImageTooManyPixels,
    TooManyDocuments,
    TooManyImages,
)
from rom_core.settings import Model
from rom_core.turn_values import ChatRequest

# docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html: in one request.
MAX_DOCUMENTS: Final = 5
MAX_IMAGES: Final = 20
_PLACE: Final = "attachment"
_REFUSALS: Final[Mapping[Reason, type[AttachmentRefused]]] = {
    "broken": AttachmentBroken,
    "encrypted": AttachmentEncrypted,
    "empty": AttachmentEmpty,
    "mislabelled": AttachmentMislabelled,
    "too_complex": AttachmentTooComplex,
    "too_many_pages": AttachmentTooManyPages,
    "too_many_pixels": ImageTooManyPixels,
}
Block = dict[str, Any]


def placeholder(attachment: Attachment) -> Block:
    """A block that holds the place of a file, in a message or in a tool's result, until `prepare` has looked at it."""
    return {_PLACE: attachment}


def attachments_of(request: ChatRequest) -> list[Attachment]:
    """The files that have not been looked at, in order."""
    return [block[_PLACE] for message in request.messages for block in inside(message["content"]) if _PLACE in block]


def look_at(attachments: Sequence[Attachment], examiner: Examiner) -> list[tuple[Kind, Verdict]]:
    """What each file is, and what was found in it. Raises an AttachmentRefused for the first, and Overloaded."""
    kinds = _kinds(attachments)
    return [(KINDS[verdict.format], verdict) for verdict in _verdicts(attachments, kinds, examiner)]


def prepare(
    request: ChatRequest, examiner: Examiner, model: Model, fetched: Callable[[Attachment], Attachment] | None = None
) -> ChatRequest:
    """The request with Converse's blocks in the place of its files, and with warnings of what is hidden in them.

    The model is told of it before the document. A request without files comes back as it is. Where citations are asked
    for and can be had, it has the `sources` in which they are checked; else it asks for none.

    `model` is the one that is asked first; `fetched` gives the content to a file that came as an id. Raises an
    AttachmentRefused for the first that is wrong, and Overloaded.
    """
    attachments = attachments_of(request)
    # With structured outputs Anthropic's models refuse them.
    wanted = request.citations and model.citations and request.response_format is None
    if not attachments:
        return replace(request, citations=False) if request.citations else request
    if fetched is not None:
        attachments = [fetched(attachment) for attachment in attachments]
    kinds = _kinds(attachments)
    _check_readable([candidates[0] for candidates in kinds], attachments, model)
    check_numbers([candidates[0].block for candidates in kinds], attachments[-1].path)
    verdicts = _verdicts(attachments, kinds, examiner, texts=wanted)
    in_messages = [
        _PLACE in block for message in request.messages for block in message["content"] for _ in _files(block)
    ]
    sources, told = sources_of(attachments, verdicts, in_messages) if wanted else ({}, [])
    taken: set[str] = set()
    blocks = [
        _blocks(one, verdict, taken, sources.get(number))
        for number, (one, verdict) in enumerate(zip(attachments, verdicts, strict=True))
    ]
    made: Iterator[list[Block]] = iter(blocks)
    messages = tuple(
        {**message, "content": _filled(message["content"], lambda: next(made))} for message in request.messages
    )
    warnings = [
        one for file, verdict in zip(attachments, verdicts, strict=True) for one in warnings_of(file.name, verdict)
    ]
    names = ((blocks[number][-1]["document"]["name"], source) for number, source in sources.items())
    return replace(
        request,
        messages=messages,
        warnings=(*warnings, *told),
        citations=bool(sources),
        sources=Sources(names) if sources else None,
    )


def _kinds(attachments: Sequence[Attachment]) -> list[tuple[Kind, ...]]:
    """What each may be, by its name and its beginning."""
    for attachment in attachments:
        attachment.check_name()
    return [attachment.kinds() for attachment in attachments]


def _check_readable(kinds: Sequence[Kind], attachments: Sequence[Attachment], model: Model) -> None:
    reads = {"document": model.documents, "image": model.images}
    for kind, attachment in zip(kinds, attachments, strict=True):
        if not reads[kind.block]:
            text = f"{attachment.path}: {model.alias} reads no {kind.block}s; ask another model, or send text"
            raise AttachmentNotReadByModel(text, param=attachment.path)


def inside(content: Sequence[Block]) -> Iterator[Block]:
    """The blocks of a message, and those in the results of tools."""
    for block in content:
        yield block
        if "toolResult" in block:
            yield from block["toolResult"]["content"]


def _files(block: Block) -> Iterator[Block]:
    """The places of files in a block of a message."""
    return (one for one in inside([block]) if _PLACE in one)


def _filled(content: Sequence[Block], blocks: Callable[[], list[Block]]) -> list[Block]:
    filled: list[Block] = []
    for block in content:
        if _PLACE in block:
            filled += blocks()
        elif "toolResult" in block:
            result = block["toolResult"]
            filled.append({"toolResult": {**result, "content": _filled(result["content"], blocks)}})
        else:
            filled.append(block)
    return filled


def check_numbers(kinds: Sequence[str], path: str) -> None:
    """Raise TooManyDocuments or TooManyImages, naming `path`, if a request with blocks of these kinds has too many."""
    documents, images = kinds.count("document"), kinds.count("image")
    if documents > MAX_DOCUMENTS:
        text = f"the request has {documents} documents; the limit is {MAX_DOCUMENTS}, earlier messages included"
        raise TooManyDocuments(text, param=path)
    if images + documents > MAX_IMAGES:
        counted = f"{images} images and {documents} documents"
        text = f"the request has {counted}; the limit is {MAX_IMAGES} together, earlier messages included"
        raise TooManyImages(text, param=path)


def _verdicts(
    attachments: Sequence[Attachment], kinds: Sequence[tuple[Kind, ...]], examiner: Examiner, *, texts: bool = False
) -> list[Verdict]:
    """What is found in each file; text is looked at here, everything else in a process of its own."""
    inside = [number for number, candidates in enumerate(kinds) if candidates[0].signature != "text"]
    formats = {number: tuple(kind.format for kind in kinds[number]) for number in inside}
    found = examiner.examine([(attachments[number].data, formats[number]) for number in inside], texts=texts)
    verdicts = dict(zip(inside, found, strict=True))
    for number, candidates in enumerate(kinds):
        if number not in verdicts:
            blank = not (text_of(attachments[number].data) or "").strip()
            verdicts[number] = Verdict(
                format=candidates[0].format, reason="empty" if blank else "", detail="the file has no text"
            )
    for number, attachment in enumerate(attachments):
        verdict = verdicts[number]
        if verdict.reason:
            raise _REFUSALS[verdict.reason](f"{attachment.path}: {verdict.detail}", param=attachment.path)
    return [verdicts[number] for number in range(len(attachments))]


def _blocks(attachment: Attachment, verdict: Verdict, taken: set[str], source: Source | None) -> list[Block]:
    kind = KINDS[verdict.format]
    if kind.block == "image":
        return [{"image": {"format": kind.format, "source": {"bytes": attachment.data}}}]
    data = attachment.data
    if kind.signature == "text":
        # Whatever its encoding was, the model gets it in one that it reads.
        data = (text_of(data) or "").encode()
    name = document_name(attachment.name, taken)
    document: Block = {"document": {"name": name, "format": kind.format, "source": {"bytes": data}}}
    if source is not None:
        document = cited(source, name, data)
    told = suspicion(name, verdict)
    return [{"text": told}, document] if told else [document]
