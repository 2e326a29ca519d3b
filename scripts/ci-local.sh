#!/usr/bin/env bash
# Lint, types and tests, as CI runs them. Needs the tools of requirements/test.lock on PATH (`make test` sees to it).
set -euo pipefail
cd "$(dirname "$0")/.."
# A developer's own cloud, proxy or settings must not decide whether the tests pass.
while IFS='=' read -r name _; do
  case "$name" in
    AWS_* | ROM_* | HTTP_PROXY | HTTPS_PROXY | ALL_PROXY | http_proxy | https_proxy | all_proxy | API_KEYS | ADMIN_TOKEN) unset "$name" ;;
  esac
done < <(env)
ruff check .
ruff format --check .
mypy
scripts/test-prometheus-rules.sh
python -m pytest -n "${TEST_WORKERS:-auto}" "$@"
