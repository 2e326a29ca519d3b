"""`rom bedrock-local`: the bundled local Bedrock."""

from __future__ import annotations

import click

from rom_core.cli.terminal import say


@click.command("bedrock-local")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535))
def bedrock_local(host: str, port: int) -> None:
    """Serve the bundled local Bedrock, for any AWS client (endpoint_url)."""
    from local_bedrock import main as serve_local

    serve_local(host, port, ready=lambda url: say(f"the local Bedrock answers at {url}"))
