#!/usr/bin/env bash
# Check the Prometheus rules and run their tests. Installs promtool in CI (as root); elsewhere skips, loudly, without it.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v promtool >/dev/null; then
  if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null
  else
    echo "SKIPPED: promtool is missing, the Prometheus rules were NOT tested (Debian: apt-get install prometheus)" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
  fi
fi
promtool check rules ops/prometheus/rom.rules.yml
promtool test rules ops/prometheus/rom.rules.test.yml
