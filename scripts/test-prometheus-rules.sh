#!/usr/bin/env bash
# Check the Prometheus rules and run their tests. Brings promtool where it can; fails without it.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(scripts/prometheus-tools.sh)
"$tools/promtool" check rules ops/prometheus/rom.rules.yml
"$tools/promtool" test rules ops/prometheus/rom.rules.test.yml
