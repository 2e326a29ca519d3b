#!/usr/bin/env bash
# Lint, types and tests, as CI runs them. Needs the tools of requirements/test.lock on PATH (`make test` sees to it).
set -euo pipefail
cd "$(dirname "$0")/.."
# Before proxies are forgotten: the downloads may need them.
tools=$(scripts/prometheus-tools.sh)
scripts/clients.sh >/dev/null
export PATH="$PATH:$tools"
# A developer's own cloud, proxy or settings must not decide whether the tests pass. Every setting is in .env.example.
while IFS= read -r name; do
  unset "$name"
done < <(
  compgen -e | grep -E '^(AWS_|ROM_)|_(PROXY|proxy)$' || true
  sed -n 's/^[# ]*\([A-Z][A-Z0-9_]*\)=.*/\1/p' .env.example
)
ruff check .
ruff format --check .
mypy
lint-imports
python -m pytest -n "${TEST_WORKERS:-auto}" "$@"
