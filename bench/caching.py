"""What a kept conversation saves: one conversation of five turns with two model calls each, prompt caching on.

Once it is kept by the server (`store: true`), once its client sends the texts of the earlier turns each time, as it
must without a store. Each has a real server and a local Bedrock of its own, so that neither reads what the other wrote;
the tokens are those that the local Bedrock counted, the prices those of MODELS.

    python -m bench caching
"""

from __future__ import annotations

import json
import sys
import urllib.request
from dataclasses import dataclass
from typing import Any

from bench.harness import bedrock, process, rom_url

TURNS = 5
TOKEN = "token-of-the-measurement"
ALIASES = ("anthropic.claude-sonnet-4-5", "anthropic.claude-sonnet-5-5", "anthropic.claude-haiku-5-5")
# As long as in bench/workload: rules of the house, questions and answers; what the tool finds is as long as it is.
_WORDS = "prazo recurso apelação sentença acórdão petição contestação perícia decisão contrato rescisão multa "
_RULES, _QUESTION, _ANSWER = (_WORDS * 80)[:7000], (_WORDS * 14)[:1200], (_WORDS * 12)[:1000]
_TOOL = '[[tools=1]] [[tool=prazo_processual]] [[input={"data":"2026-03-02","evento":"disponibilizacao","dias":15}]]'
_KINDS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")


@dataclass(frozen=True)
class Bill:
    """What one conversation cost, by GET /admin/cost."""

    total: dict[str, Any]
    without_caching: float

    @property
    def usd(self) -> float:
        """In USD."""
        return float(self.total["usd"])


def measure(model: str, *, stored: bool) -> Bill:
    """Hold the conversation, and ask what it cost."""
    with (
        process(*bedrock()) as (endpoint, _),
        process(
            ["-m", "rom_core", "serve"],
            rom_url,
            ROM_ENV="development",
            PORT="0",
            LOG_FORMAT="json",
            BEDROCK_ENDPOINT_URL=endpoint,
            SYSTEM_PROMPT=_RULES,
            MODEL_PRIMARY=model,
            ADMIN_TOKEN=f"bench={TOKEN}",
        ) as (url, _),
    ):
        past: list[dict[str, str]] = []
        conversation = ""
        for number in range(TURNS):
            message = f"{_TOOL} [[say={_ANSWER}]] {number}: {_QUESTION}"
            body: dict[str, Any] = {"message": message}
            if stored:
                body |= {"conversation_id": conversation} if conversation else {"store": True}
            else:
                body["messages"] = past
            answer = _post(f"{url}/api/chat", body)
            if answer["iterations"] != 2:
                raise SystemExit(f"a turn of {answer['iterations']} model calls: {answer['reply'][:200]}")
            conversation = answer["conversation_id"]
            past += [{"role": "user", "content": message}, {"role": "assistant", "content": answer["reply"]}]
        cost = _post(f"{url}/admin/cost")
    return Bill(cost["total"], float(cost["without_caching"]["usd"]))


def main() -> None:
    """Print the figures."""
    print("| model | kept by | input plain / read / written, output | USD | without caching | saved |")
    print("|---|---|---|---|---|---|")
    for model in ALIASES[:1] if "--quick" in sys.argv[1:] else ALIASES:
        for stored, keeper in ((False, "the client, as texts"), (True, "the server")):
            bill = measure(model, stored=stored)
            saved = 100 * (1 - bill.usd / bill.without_caching)
            figures = f"{bill.usd:.5f} | {bill.without_caching:.5f} | {saved:.1f} %"
            print(f"| {model} | {keeper} | {_tokens(bill)} | {figures} |")


def _tokens(bill: Bill) -> str:
    plain, read, written, output = (bill.total[kind] for kind in _KINDS)
    return f"{plain} / {read} / {written}, {output}"


def _post(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """POST of this body, GET without any."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


if __name__ == "__main__":
    main()
