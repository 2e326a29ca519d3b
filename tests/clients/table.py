"""Drives every client and writes the table of docs/clients.md: `make clients`."""

from __future__ import annotations

import re
import sys

from clients.driving import CLIENTS, ROOT, SCENARIOS, drive, row, served

PAGE = ROOT / "docs/clients.md"
_TABLE = re.compile(r"(?<=<!-- clients -->\n).*?(?=<!-- end of clients -->)", re.DOTALL)


def main() -> int:
    """Write the table; 1 if anything in it failed."""
    rows, failed = [], []
    with served() as (server, bedrock):
        for client in CLIENTS:
            outcomes = drive(client, server, bedrock)
            rows.append(row(client, outcomes))
            failed += [f"{client.name}: {name}: {one.error}" for name, one in outcomes.items() if one.error]
    head = f"| client | route | {' | '.join(SCENARIOS)} |\n|---|---|{'---|' * len(SCENARIOS)}\n"
    table = head + "\n".join(rows) + "\n"
    PAGE.write_text(_TABLE.sub(lambda _: table, PAGE.read_text()))
    sys.stderr.writelines(f"{line}\n" for line in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
