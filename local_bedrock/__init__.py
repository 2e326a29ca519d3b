"""A local Bedrock: a server that speaks the Bedrock Runtime protocol, for development, tests and load tests.

    with LocalBedrock() as bedrock:
        client = boto3.client("bedrock-runtime", endpoint_url=bedrock.url, ...)

or as a process of its own, `python -m local_bedrock --port 8001`, or as the pytest fixture `bedrock_local`. Any AWS
client can talk to it, in any language. The package needs nothing but botocore, whose service description it checks
requests against, and imports nothing of the agent that it is bundled with.

It serves `converse` and `converse-stream` on loopback, refuses what Bedrock refuses with Bedrock's own error names, and
answers with a deterministic stand-in for a model. `directives` describes what a user message, or a test through
`LocalBedrock.script`, can order: answers, tool calls, delays, faults. `models.KNOWN_MODELS` lists what it serves, and
what each model refuses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_bedrock.behaviour import Behaviour, DirectiveError, Fault, fault, reply, tool_use
    from local_bedrock.foreground import main
    from local_bedrock.models import KNOWN_MODELS, ModelInfo
    from local_bedrock.server import LocalBedrock, Recorded

__all__ = [
    "KNOWN_MODELS",
    "Behaviour",
    "DirectiveError",
    "Fault",
    "LocalBedrock",
    "ModelInfo",
    "Recorded",
    "fault",
    "main",
    "reply",
    "tool_use",
]

_HOME = {
    "KNOWN_MODELS": "models",
    "LocalBedrock": "server",
    "ModelInfo": "models",
    "Recorded": "server",
    "main": "foreground",
}


def __getattr__(name: str) -> Any:
    # lazily: the pytest plugin below this package is imported by every pytest run
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'behaviour')}"), name)
