#!/usr/bin/env bash
# Lint, types and tests, as CI runs them. Needs the tools of requirements/test.lock on PATH (`make test` sees to it).
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
# Types are checked beside all that follows, which waits a good deal; what was found comes last.
found=$(mktemp)
mypy >"$found" 2>&1 &
types=$!
trap 'kill "$types" 2>/dev/null || true; rm -f "$found"' EXIT
# Before proxies are forgotten: the downloads may need them.
tools=$(scripts/prometheus-tools.sh)
scripts/clients.sh >/dev/null
scripts/browser.sh >/dev/null
export PATH="$PATH:$tools"
# A developer's own cloud, proxy or settings must not decide whether the tests pass. Every setting is in .env.example.
while IFS= read -r name; do
  unset "$name"
done < <(
  compgen -e | grep -E '^(AWS_|ROM_)|_(PROXY|proxy)$' || true
  sed -n 's/^[# ]*\([A-Z][A-Z0-9_]*\)=.*/\1/p' .env.example
)
# What is compiled once is kept: otherwise every worker compiles all tests at every run.
unset PYTHONDONTWRITEBYTECODE
lint-imports
tested=0
python -m pytest -n "${TEST_WORKERS:-auto}" --dist worksteal "$@" || tested=$?
typed=0
wait "$types" || typed=$?
cat "$found"
if [ "$tested" != 0 ]; then echo "tests failed" >&2; fi
if [ "$typed" != 0 ]; then echo "types failed" >&2; fi
exit $((tested != 0 ? tested : typed))
