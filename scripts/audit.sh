#!/usr/bin/env bash
# Look every locked version up among the known vulnerabilities (pip-audit, PyPI's advisory database). Fails on any that
# requirements/audit-exceptions.txt does not name: one id a line, behind it who decided, why and until when.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1
exceptions=()
while read -r id _; do
  case "$id" in '' | '#'*) ;; *) exceptions+=(--ignore-vuln "$id") ;; esac
done <requirements/audit-exceptions.txt
for lock in requirements/*.lock; do
  echo "$lock"
  # Strict: a package that could not be looked up is no good news. What is locked with hashes needs no resolving: nothing is installed, and no code of a package runs.
  "$bin/pip-audit" --requirement "$lock" --require-hashes --disable-pip --strict --progress-spinner off "${exceptions[@]}"
done
