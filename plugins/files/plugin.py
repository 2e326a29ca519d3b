"""Files that are uploaded once (POST /api/files) and named by their id in later requests (`file_id`).

Settings: FILES_ENABLED (switch), FILE_TTL_SECONDS, FILES_MAX_BYTES. Hooks: rom_settings, rom_tables, rom_routes,
rom_start and rom_stop (the thread that erases what has expired), rom_file (hands a file out).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import structlog

from plugins.files.keeping import InMemory, InStore, Keeper
from plugins.files.routes import FileResource, FilesResource
from rom_core.concurrency.clock import Clock, SystemClock
from rom_core.errors import StoreUnavailable
from rom_core.files import KeptFile
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.settings.keys import content_keys
from rom_core.store.sealing import Sealer
from rom_core.tables import Tables

ERASE_EVERY_SECONDS: Final = 60.0
_DAY: Final = 24 * 3600
logger = structlog.get_logger("rom.files")


class Files:
    """The plugin. A file belongs to the key that uploaded it; for others it does not exist."""

    def __init__(self) -> None:
        self._clock: Clock = SystemClock()
        self._keeper: Keeper = InMemory()
        self._stop = threading.Event()
        self._eraser: threading.Thread | None = None

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch, how long a file is kept, and how much all of them may have."""
        return [
            Setting("FILES_ENABLED", bool, True, "Keep files that are uploaded to /api/files.", switch=True),
            Setting(
                "FILE_TTL_SECONDS",
                float,
                _DAY,
                "Seconds for which an uploaded file is kept; then it is erased.",
                minimum=60,
                maximum=30 * _DAY,
                scope="process",
            ),
            Setting(
                "FILES_MAX_BYTES",
                int,
                512 * 1024 * 1024,
                "Bytes of all uploaded files together; at most 64 MiB where there is no store.",
                minimum=0,
                scope="process",
            ),
        ]

    @hookimpl
    def rom_tables(self) -> Tables:
        """The files."""
        from plugins.files.tables import METADATA

        return Tables(METADATA, migrations="plugins.files.migrations")

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """POST /api/files, GET and DELETE /api/files/{file_id}."""
        app.add_route(FilesResource.route, FilesResource(runtime, lambda: self.keeper))
        app.add_route(FileResource.route, FileResource(runtime, lambda: self.keeper))

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Keep files in the store, if there is one, and erase what has expired from time to time."""
        self._clock = runtime.clock
        if runtime.store is not None:
            self._keeper = InStore(runtime.store, Sealer(content_keys(runtime.current.settings.CONTENT_KEY)))
        self._stop.clear()
        self._eraser = threading.Thread(target=self._erase, name="rom-files", daemon=True)
        self._eraser.start()

    @hookimpl
    def rom_stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._eraser is not None:
            self._eraser.join()

    @hookimpl
    def rom_file(self, file_id: str, key_name: str) -> KeptFile | None:
        """The file, if it is this key's."""
        return self._keeper.read(file_id, key_name, self._clock.time())

    @property
    def keeper(self) -> Keeper:
        """Where they are."""
        return self._keeper

    def erase_expired(self) -> None:
        """Erase them; with the store away they stay unreadable until it is back."""
        try:
            erased = self._keeper.erase_expired(self._clock.time())
        except StoreUnavailable as error:
            logger.warning("files.erase_failed", reason=error.detail)
            return
        if erased:
            logger.info("files.erased", files=erased)

    def _erase(self) -> None:
        # NOTE: real seconds; what has expired is not readable meanwhile.
        while True:
            self.erase_expired()
            if self._stop.wait(ERASE_EVERY_SECONDS):
                return
