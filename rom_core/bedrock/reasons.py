"""What of a refusal's text a client may read: Bedrock may quote the request, the account or a model's id in it."""

from __future__ import annotations

import re
from typing import Final

_MAX_CHARS: Final = 300
HIDDEN: Final = "…"
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”")
# Names of the service itself, which say where the fault is; with numbers between them a path, and never a value.
_WORD: Final = re.compile(
    r"messages|message|content|role|text|toolUse|toolResult|toolConfig|tools|toolSpec|toolChoice|"
    r"toolUseId|tool_use|tool_result|tool_choice|input|inputSchema|json|name|description|document|image|"
    r"reasoningContent|thinking|signature|redactedContent|cachePoint|type|ttl|system|inferenceConfig|"
    r"maxTokens|max_tokens|temperature|topP|top_p|top_k|stopSequences|stop_sequences|"
    r"additionalModelRequestFields|outputConfig|textFormat|guardrailConfig|status|member|source|bytes|"
    r"format|user|assistant|any|auto|tool|enabled|disabled|adaptive|between_tools|budget_tokens|default|"
    r"citations|schema|properties|required|structure|jsonSchema"
    r"|\d{1,4}"
)
_CONFIDENTIAL: Final = re.compile(r"\barn:\S+|\b\d{12}\b|\b(?:[a-z]+\.)?(?:anthropic|amazon|meta|mistral)\.\S+", re.I)
_REQUEST_PREFIX: Final = re.compile(r"^The model returned the following errors?: ")


def readable_reason(message: str) -> str:
    """`message` in one line of at most 300 characters, with "…" for what it quotes and for names of the account."""
    text = " ".join(_REQUEST_PREFIX.sub("", message).split())
    if text.startswith("{"):
        # A model's own error object; its texts are not told apart from what it quotes.
        return ""
    text = _QUOTED.sub(lambda found: found[0] if _is_field(found[0][1:-1]) else HIDDEN, text)
    text = _CONFIDENTIAL.sub(HIDDEN, text)
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + HIDDEN


def _is_field(quoted: str) -> bool:
    """Whether it names members of a request by the service's own words."""
    return all(_WORD.fullmatch(part) for part in quoted.split("."))
