"""Files of the person's own that go along with a message."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rom_core.cli.chat.failures import ChatFailed
from rom_core.documents.attachment import MAX_DOCUMENT_BYTES, MAX_IMAGE_BYTES
from rom_core.documents.kinds import BY_EXTENSION, NAMES
from rom_core.documents.prepare import MAX_DOCUMENTS, MAX_IMAGES


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was when it was attached."""

    name: str
    data: bytes
    image: bool

    def as_attachment(self) -> Mapping[str, str]:
        """The entry in a request's `attachments`."""
        return {"name": self.name, "data": base64.b64encode(self.data).decode("ascii")}

    @property
    def described(self) -> str:
        """Name and size for a person."""
        return f"{self.name} ({size(len(self.data))})"


def limits() -> str:
    """What may be attached, for a person."""
    return (
        f"{NAMES}; até {MAX_DOCUMENTS} documentos de {size(MAX_DOCUMENT_BYTES)} "
        f"e {MAX_IMAGES} imagens de {size(MAX_IMAGE_BYTES)} em toda a conversa"
    )


def local_file(path: Path) -> LocalFile:
    """The file, read. Raises ChatFailed for one that is not there, or too large for any model."""
    kind = BY_EXTENSION.get(path.suffix.lower().lstrip("."))
    image = kind is not None and kind.block == "image"
    most = MAX_IMAGE_BYTES if image else MAX_DOCUMENT_BYTES
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ChatFailed(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise ChatFailed(f"{path.name}: passa de {size(most)}. Aceitos: {limits()}")
    return LocalFile(path.name, data, image)


def size(count: int) -> str:
    """Bytes as people read them."""
    if count < 1000:
        return f"{count} bytes"
    value, unit = (count / 1000, "kB") if count < 1_000_000 else (count / 1_000_000, "MB")
    return f"{value:.1f} {unit}".replace(".0 ", " ").replace(".", ",")
