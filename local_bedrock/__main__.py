"""`python -m local_bedrock`: a local Bedrock in the foreground, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import sys

from local_bedrock.foreground import main as serve
from local_bedrock.models import read_change


def main(arguments: list[str] | None = None) -> int:
    """Serve as the command line says; the exit status."""
    parser = argparse.ArgumentParser("python -m local_bedrock", description="A local stand-in for Amazon Bedrock.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8001, help="port, 0 = any free one (default: %(default)s)")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="ID:field=value,…",
        help="what a model refuses, as anthropic.claude-sonnet-4-6:sampling=false; may be given again",
    )
    given = parser.parse_args(arguments)
    try:
        serve(given.host, given.port, ready=_listening, changes=[read_change(text) for text in given.model])
    except (ValueError, LookupError) as error:
        sys.stderr.write(f"{error.args[0]}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"cannot listen on {given.host}:{given.port} ({error.strerror}); choose another --port\n")
        return 1
    return 0


def _listening(url: str) -> None:
    sys.stdout.write(f"local Bedrock at {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
