"""What clients call a parameter, where Bedrock calls it otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAMES: Final[Mapping[str, str]] = {
    "topP": "top_p",
    "topK": "top_k",
    "maxTokens": "max_tokens",
    "stopSequences": "stop",
    "toolChoice": "tool_choice",
}
_ON_ROUTES: Final[Mapping[str, Mapping[str, str]]] = {
    "/v1/chat/completions": {"effort": "reasoning_effort", "thinking": "reasoning_effort"},
    "/v1/messages": {
        "citations": "messages.content.citations",
        "effort": "output_config.effort",
        "stop": "stop_sequences",
    },
}


def request_name(name: str, route: str) -> str:
    """The name that a parameter has in requests to this route, by the one that it has in Bedrock or elsewhere."""
    known = _NAMES.get(name, name)
    return _ON_ROUTES.get(route, {}).get(known, known)
