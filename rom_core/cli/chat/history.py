"""Where what a person has typed is kept, for the arrow keys: a file that only they can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# What is older goes, at the next start.
MAX_BYTES = 256 * 1024
_KEPT_BYTES = 128 * 1024


def history_path(environ: Mapping[str, str]) -> Path:
    """In the user's state folder, XDG_STATE_HOME."""
    base = environ.get("XDG_STATE_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".local/state"
    return folder / "rom-agent" / "chat_history"


def prepared(path: Path) -> bool:
    """Make the file, for its owner alone, and bound it; whether it is new. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        os.fchmod(descriptor, 0o600)
        size = os.fstat(descriptor).st_size
        if size > MAX_BYTES:
            file.seek(size - _KEPT_BYTES)
            # An entry begins with an empty line and a comment.
            kept = file.read().partition(b"\n\n")[2]
            file.seek(0)
            file.write(b"\n" + kept)
            file.truncate()
    return new
