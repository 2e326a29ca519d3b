"""A folder of static files as what is sent: hashed names, import maps, compressed copies. Read once, then immutable.

A file `app/chat.js` is served as `/assets/app/chat.<hash>.js`, where the hash is of its content, and may be kept for
ever. Scripts import each other by plain relative paths: a document's import map leads from `/assets/app/chat.js` to the
hashed name. In a document `src` and `href` of `app/…`, `style/…` and the like name files of the folder in the same way.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

PREFIX: Final = "/assets/"
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
KEYS_MARK: Final = b"%KEYS%"
_IMPORTS_MARK: Final = "<!-- imports -->"
_COMPRESSED: Final = (".css", ".html", ".js", ".svg")
_HASH_CHARS: Final = 12
_REFERENCE: Final = re.compile(r'\b(src|href)="(?!https?:|/|#|data:)([^"]+)"')
# Static imports and exports, and imports by name at run time: `from "./x.js"`, `import "./x.js"`, `import("./x.js")`.
_IMPORT: Final = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)["'](\.{1,2}/[^"']+)["']""")


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent of one file; `compressed` is its gzip form, empty where that would not be shorter."""

    media_type: str
    plain: bytes
    compressed: bytes
    digest: str

    @classmethod
    def of(cls, name: str, data: bytes) -> Content:
        """Compress `data`, the content of a file of that name. Raises KeyError for a kind that is not served."""
        suffix = posixpath.splitext(name)[1]
        packed = gzip.compress(data, 9, mtime=0) if suffix in _COMPRESSED else b""
        return cls(
            MEDIA_TYPES[suffix],
            data,
            packed if len(packed) < len(data) else b"",
            hashlib.sha256(data).hexdigest()[:_HASH_CHARS],
        )


@dataclass(frozen=True, slots=True)
class Document:
    """An HTML page; `script_hash` is what a Content-Security-Policy names its import map by."""

    content: Content
    script_hash: str


class Site:
    """The files of `folder`; what is asked for by a name is looked up among them, never on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def files(self) -> Mapping[str, Content]:
        """All that may be sent but the documents, by its path in the folder (`app/chat.js`)."""
        found = (path for path in sorted(self._folder.rglob("*")) if path.suffix in MEDIA_TYPES)
        named = ((path.relative_to(self._folder).as_posix(), path) for path in found if path.suffix != ".html")
        return {name: Content.of(name, path.read_bytes()) for name, path in named}

    @cached_property
    def assets(self) -> Mapping[str, Content]:
        """By the name under which each is served (`app/chat.0123456789ab.js`)."""
        return {self.hashed(name): content for name, content in self.files.items()}

    def hashed(self, name: str) -> str:
        """The name under which a file is served, without the prefix. Raises KeyError if there is none."""
        stem, suffix = posixpath.splitext(name)
        return f"{stem}.{self.files[name].digest}{suffix}"

    def document(self, name: str, keys: str) -> Document:
        """The page of that file, with `keys` in the place of its mark. Raises KeyError for a reference to no file."""
        text = (self._folder / name).read_text(encoding="utf-8")
        entries = [reference[2] for reference in _REFERENCE.finditer(text) if reference[2].endswith(".js")]
        modules = list(dict.fromkeys(module for entry in entries for module in self._imported(entry)))
        imports = json.dumps(
            {"imports": {PREFIX + module: PREFIX + self.hashed(module) for module in sorted(modules)}},
            separators=(",", ":"),
        )
        preloads = "".join(
            f'\n  <link rel="modulepreload" href="{PREFIX}{self.hashed(module)}">' for module in self._first(entries)
        )
        text = _REFERENCE.sub(lambda found: f'{found[1]}="{PREFIX}{self.hashed(found[2])}"', text)
        text = text.replace(_IMPORTS_MARK, f'<script type="importmap">{imports}</script>{preloads}')
        data = text.encode().replace(KEYS_MARK, keys.encode())
        digest = base64.b64encode(hashlib.sha256(imports.encode()).digest()).decode()
        return Document(Content.of(name, data), f"'sha256-{digest}'")

    def _imported(self, module: str) -> Iterator[str]:
        """The script and all that it imports, at once or later."""
        seen = {module: None}
        for one in iter(waiting := [module]):
            for other in self._references(one):
                if other not in seen:
                    seen[other] = None
                    waiting.append(other)
        yield from seen

    def _first(self, entries: list[str]) -> list[str]:
        """What is needed at once: the scripts of a page and what they import statically."""
        seen = dict.fromkeys(entries)
        for one in iter(waiting := list(entries)):
            for other in self._references(one, at_once=True):
                if other not in seen:
                    seen[other] = None
                    waiting.append(other)
        return [one for one in seen if one not in entries]

    def _references(self, module: str, *, at_once: bool = False) -> Iterator[str]:
        for found in _IMPORT.finditer(self.files[module].plain.decode()):
            if not (at_once and "(" in found[0]):
                yield posixpath.normpath(posixpath.join(posixpath.dirname(module), found[1]))
