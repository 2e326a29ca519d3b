"""`python -m bench workload`: the workload's bill with and without prompt caching, for the models of the table."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from bench.workload import conversations, singles
from bench.workload.replay import replay

MODELS = ("anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5", "anthropic.claude-sonnet-5-5")


def main() -> None:
    """Print the figures."""
    if "--list" in sys.argv[1:]:
        for talk in (*conversations(), *singles()):
            sys.stdout.write(json.dumps(asdict(talk), ensure_ascii=False) + "\n")
        return
    quick = "--quick" in sys.argv[1:]
    print("workload       model                         requests  without USD   with USD   change  in/out/read/write")
    for name, work in (("conversations", list(conversations())), ("singles", list(singles()))):
        for model in MODELS[: 1 if quick else None]:
            off, on = (replay(work, model=model, caching=caching) for caching in (False, True))
            used, change = on.usage, on.cost / off.cost - 1
            print(
                f"{name:14} {model:29} {on.requests:8}  {off.cost:11.4f} {on.cost:10.4f}  {change:+7.2%}"
                f"  {used.input_tokens}/{used.output_tokens}/{used.cache_read_tokens}/{used.cache_write_tokens}"
            )
            print(f"{'':14} rules: {', '.join(f'{rule} {n}' for rule, n in sorted(on.rules.items()))}")


if __name__ == "__main__":
    main()
