"""The files of the SQLite store: what belongs to it, what a file of ours begins with, who may read it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rom_core.store.files import beside
from rom_core.store.rows import Damaged

COPY_SUFFIX, DAMAGED_SUFFIX = ".copy", ".damaged"
# A rollback journal, in both bytes of the header that say so: https://www.sqlite.org/fileformat.html
_HEADER, _JOURNALLED = b"SQLite format 3\0", b"\1\1"


def check_header(path: Path) -> None:
    """Raise Damaged unless the file begins as ours do; SQLite would take another mode from there, read-only, say."""
    with path.open("rb") as file:
        header = file.read(20)
    if not header.startswith(_HEADER) or header[18:] != _JOURNALLED:
        raise Damaged("it does not begin as a database of ours")


def make_private(folder: Path, prefix: str) -> None:
    """Make `folder` if it is missing; only this user reads it, and the files in it whose names begin with `prefix`.

    A folder that holds other things too is somebody's own: it keeps its rights. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = list(folder.iterdir())
    ours = [file for file in files if file.name.startswith(prefix) and file.is_file() and not file.is_symlink()]
    if files and all(".db" in file.name for file in files) and folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)
    for file in ours:
        # A journal is gone as soon as whoever else uses the database has written.
        with suppress(FileNotFoundError):
            if file.stat().st_mode & 0o077 and file.stat().st_uid == os.geteuid():
                file.chmod(0o600)


def put_aside(path: Path) -> None:
    """Move a damaged database away, its journal too, which would be played into the new one. Raises OSError."""
    for suffix in ("", "-journal"):
        file = beside(path, suffix)
        if file.exists():
            os.replace(file, beside(path, DAMAGED_SUFFIX + suffix))
