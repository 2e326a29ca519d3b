"""`python -m bench workload`: the workload's bill with and without prompt caching, for the models of the table."""

from __future__ import annotations

import sys

from bench.harness import ROOT
from bench.workload import CONVERSATIONS, SINGLES
from rom_core.cli.cost_workload import replayed_report

MODELS = (
    "anthropic.claude-sonnet-4-5",
    "anthropic.claude-haiku-4-5",
    "anthropic.claude-sonnet-5-5",
    "anthropic.claude-haiku-5-5",
    "anthropic.claude-opus-5-5",
)

KINDS = ("input", "output", "cache_read", "cache_write")


def main() -> None:
    """Print the figures."""
    models = MODELS[:1] if "--quick" in sys.argv[1:] else MODELS
    print("| workload | model | requests | without, USD | with, USD | change | in / out / read / write |")
    print("|---|---|---|---|---|---|---|")
    for file in (CONVERSATIONS, SINGLES):
        for model in models:
            found = replayed_report(file, ROOT, model)
            total, sides = found["total"], found["replayed"]
            tokens = " / ".join(
                str(total[f"{kind}_tokens"]) for kind in ("input", "output", "cache_read", "cache_write")
            )
            print(
                f"| {file.stem} | {model} | {total['requests']} | {sides['without_caching_usd']:.4f} "
                f"| {sides['with_caching_usd']:.4f} | {sides['change_percent']:+.2f} % | {tokens} |"
            )


if __name__ == "__main__":
    main()
