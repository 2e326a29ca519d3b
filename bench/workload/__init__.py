"""A published, fixed workload, replayed with and without prompt caching: what it costs on both sides.

`conversations.jsonl` are 60 multi-turn conversations with tools: 4 to 6 turns of 2 to 4 calls, 30 to 150 seconds apart,
a new conversation every 2 to 5 minutes. `singles.jsonl` are 400 questions of one call, each on its own, in bursts and
with pauses of up to 15 minutes. Both stand behind 7,000 characters of house rules. `rom_core.ops.workload` has the
format.
"""

from __future__ import annotations

from pathlib import Path

CONVERSATIONS = Path(__file__).with_name("conversations.jsonl")
SINGLES = Path(__file__).with_name("singles.jsonl")
