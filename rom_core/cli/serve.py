"""`rom serve`: the HTTP API, until a signal ends it."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import click
import structlog

from rom_core.cli.problems import SettingsInvalid
from rom_core.cli.root import ROOT
from rom_core.cli.runtime import load_runtime
from rom_core.errors import ConfigurationError
from rom_core.settings.files import files_of

logger = structlog.get_logger("rom.server")

# Taken by another process, or one that only root may have.
_PORT_ERRORS = frozenset({errno.EADDRINUSE, errno.EACCES})


@click.command()
@click.option("--host", help="Address to listen on, instead of HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, instead of PORT; 0 takes a free one.")
@ROOT
def serve(host: str | None, port: int | None, root: Path) -> None:
    """Serve the HTTP API until SIGTERM or SIGINT."""
    # PERF: what start-up builds stays; looking for garbage in it costs a tenth of the start. serve_app enables it.
    gc.disable()
    from rom_core.http.app import create_app
    from rom_core.http.server.server import Server, Signals
    from rom_core.http.server.server import serve as serve_app
    from rom_core.store.setup import where
    from rom_core.telemetry import log, output
    from rom_core.telemetry.memory import give_back_large_blocks

    give_back_large_blocks()
    output.take_over()
    # What this process and its plugins write is for this user alone.
    os.umask(0o077)
    signals = Signals()
    signals.install()
    environ = dict(os.environ)
    environ.update({"HOST": host} if host is not None else {})
    environ.update({"PORT": str(port)} if port is not None else {})
    runtime = load_runtime(root, environ)
    settings = runtime.current.settings

    def content() -> bool:
        return bool(getattr(runtime.current.settings, "LOG_CONTENT", False))

    log.configure(settings.LOG_FORMAT, settings.LOG_LEVEL, content=content)
    log.capture_faults(content)
    state = str(where(settings, root))
    logger.info("settings.read", environment=settings.environment, root=str(root), files=files_of(root), state=state)
    try:
        runtime.start()
        app = create_app(runtime)
        try:
            server = Server(app, runtime)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            hint = "; choose another one with --port or PORT" if getattr(error, "errno", None) in _PORT_ERRORS else ""
            raise click.ClickException(f"cannot listen on {settings.HOST}:{settings.PORT}: {reason}{hint}") from None
        serve_app(server, runtime, signals)
    except ConfigurationError as error:
        raise SettingsInvalid(str(error)) from None
    finally:
        runtime.stop()
