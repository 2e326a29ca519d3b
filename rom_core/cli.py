"""The console command `rom`.

Exit codes: 0 done, 1 it failed, 2 it was asked for wrongly, 3 the settings are invalid.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rom_core import __version__
from rom_core.cli_canary import canary
from rom_core.cli_config import config
from rom_core.cli_deploy import deploy
from rom_core.cli_doctor import doctor
from rom_core.cli_flags import flags
from rom_core.cli_gate import gate
from rom_core.cli_new_plugin import new_plugin
from rom_core.cli_plugins import plugins
from rom_core.cli_release import release_check
from rom_core.errors import ConfigurationError

if TYPE_CHECKING:
    from rom_core.runtime import Runtime

EXIT_FAILED = 1
EXIT_SETTINGS = 3


class SettingsInvalid(click.ClickException):
    """The process cannot start with these settings."""

    exit_code = EXIT_SETTINGS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rom")
def main() -> None:
    """ROM Agent: a production runtime for agents on Amazon Bedrock."""


@main.command()
@click.option("--host", help="Address to listen on, instead of HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, instead of PORT; 0 takes a free one.")
def serve(host: str | None, port: int | None) -> None:
    """Serve the HTTP API until SIGTERM or SIGINT."""
    from rom_core import log
    from rom_core.http.app import create_app
    from rom_core.http.server import Server, Signals
    from rom_core.http.server import serve as serve_app

    signals = Signals()
    signals.install()
    environ = dict(os.environ)
    environ.update({"HOST": host} if host is not None else {})
    environ.update({"PORT": str(port)} if port is not None else {})
    runtime = load_runtime(Path.cwd(), environ)
    settings = runtime.current.settings

    def content() -> bool:
        return bool(getattr(runtime.current.settings, "LOG_CONTENT", False))

    log.configure(settings.LOG_FORMAT, settings.LOG_LEVEL, content=content)
    log.capture_faults(content)
    try:
        runtime.start()
        app = create_app(runtime)
        try:
            server = Server(app, runtime)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise click.ClickException(f"cannot listen on {settings.HOST}:{settings.PORT}: {reason}") from None
        serve_app(server, runtime, signals)
    except ConfigurationError as error:
        raise SettingsInvalid(str(error)) from None
    finally:
        runtime.stop()


def load_runtime(root: Path, environ: dict[str, str]) -> Runtime:
    """A runtime of what is installed and configured under `root`; a person's mistake becomes a readable message."""
    from rom_core.catalogue import Catalogue
    from rom_core.flags import Flags
    from rom_core.runtime import Runtime

    try:
        catalogue = Catalogue.installed()
        flags = Flags.of(catalogue, root, environ)
        return Runtime(catalogue, flags.at_start, flags=flags)
    except ConfigurationError as error:
        raise SettingsInvalid(str(error)) from None


@main.command("bedrock-local")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535))
def bedrock_local(host: str, port: int) -> None:
    """Serve the bundled local Bedrock, for any AWS client (endpoint_url)."""
    from rom_core.bedrock.local import main as serve_local

    serve_local(host, port, ready=lambda url: click.echo(f"the local Bedrock answers at {url}"))


@main.command()
@click.argument("message", required=False)
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, envvar="ROM_URL", help="The server.")
@click.option("--model", help="A model alias.")
@click.option("--system", default="", help="Added to the system prompt.")
def chat(message: str | None, url: str, model: str | None, system: str) -> None:
    """Ask one MESSAGE and stream the answer; without a message, hold a conversation (end it with Ctrl-D).

    The API key is taken from the environment variable ROM_API_KEY.
    """
    from rom_core.chat_client import ChatClient, ChatFailed

    signal.signal(signal.SIGINT, signal.default_int_handler)
    client = ChatClient(url, os.environ.get("ROM_API_KEY", ""), model=model, system=system)
    try:
        if message is not None:
            client.ask(message)
        else:
            client.converse()
    except ChatFailed as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        sys.exit(130)


for command in (canary, config, deploy, doctor, flags, gate, new_plugin, plugins, release_check):
    main.add_command(command)
