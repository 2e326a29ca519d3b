"""The messages of a turn as bytes, and back, exactly: what goes upstream later has the same bytes.

JSON in which a file stands as `{"$file": digest}` and other bytes as `{"$bytes": base64}`; the files themselves are
handed back beside it, so that each is kept once in a conversation.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rom_core.turn_values import text_of as block_text

Message = dict[str, Any]
_FILE: Final = "$file"
_BYTES: Final = "$bytes"
# An object of somebody's that has one of our own members, as a tool's input may, is wrapped in one.
_PLAIN: Final = "$plain"
_MARKS: Final = (_FILE, _BYTES, _PLAIN)
# Shorter ones, as a signature that a model gives back, stand in the message itself.
_FILE_BYTES: Final = 1024


def encoded(messages: Sequence[Mapping[str, Any]]) -> tuple[bytes, dict[str, bytes]]:
    """The messages, and the files in them by digest."""
    files: dict[str, bytes] = {}

    def packed(value: Any) -> Any:
        if isinstance(value, bytes | bytearray):
            content = bytes(value)
            if len(content) < _FILE_BYTES:
                return {_BYTES: base64.b64encode(content).decode("ascii")}
            digest = hashlib.sha256(content).hexdigest()
            files[digest] = content
            return {_FILE: digest}
        if isinstance(value, Mapping):
            members = {str(name): packed(member) for name, member in value.items()}
            return {_PLAIN: members} if any(mark in members for mark in _MARKS) else members
        if isinstance(value, list | tuple):
            return [packed(item) for item in value]
        return value

    written = json.dumps(packed(messages), ensure_ascii=False, separators=(",", ":"), default=str)
    # A model may write half of a surrogate pair into a tool's input: it comes back as it was.
    return written.encode("utf-8", "surrogatepass"), files


def decoded(body: bytes, file: Callable[[str], bytes]) -> list[Message]:
    """The messages of a body; `file` gives the content of a file by its digest."""

    def unpacked(value: Any) -> Any:
        if isinstance(value, dict):
            if len(value) == 1:
                ((name, member),) = value.items()
                if name == _FILE:
                    return file(member)
                if name == _BYTES:
                    return base64.b64decode(member)
                if name == _PLAIN:
                    return {inner: unpacked(each) for inner, each in member.items()}
            return {name: unpacked(member) for name, member in value.items()}
        if isinstance(value, list):
            return [unpacked(item) for item in value]
        return value

    messages: list[Message] = unpacked(json.loads(body.decode("utf-8", "surrogatepass")))
    return messages


def basis_of(system: Sequence[str], tool_specs: Sequence[Mapping[str, Any]]) -> str:
    """A hash of what a model signs its reasoning together with, beside the messages."""
    made = json.dumps([list(system), list(tool_specs)], ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(made.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says to a reader; of a person's only the last text, which is what was typed."""
    texts = [text for text in map(block_text, message["content"]) if text]
    return texts[-1] if message["role"] == "user" and texts else "".join(texts)
