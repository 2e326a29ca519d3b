"""`rom chat`: a question, or a conversation, from the terminal."""

from __future__ import annotations

from rom_core.cli.chat.command import chat as chat
