"""`rom bedrock-local`: the bundled local Bedrock."""

from __future__ import annotations

import click

from rom_core.cli.terminal import say


@click.command("bedrock-local")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535))
@click.option("--model", "models", multiple=True, metavar="ID:FIELD=VALUE,…", help="What a model refuses; repeatable.")
def bedrock_local(host: str, port: int, models: tuple[str, ...]) -> None:
    """Serve the bundled local Bedrock, for any AWS client (endpoint_url)."""
    from local_bedrock import main as serve_local
    from local_bedrock.models import read_change

    try:
        changes = [read_change(text) for text in models]
        serve_local(host, port, ready=lambda url: say(f"the local Bedrock answers at {url}"), changes=changes)
    except (ValueError, LookupError) as error:
        raise click.BadParameter(str(error.args[0]), param_hint="--model") from None
