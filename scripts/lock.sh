#!/usr/bin/env bash
# Resolve setup.cfg into requirements/run.lock (serving), otel.lock (serving with the plugin telemetry), test.lock (serving
# and testing) and release.lock (building and auditing a release), with hashes.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1
"$bin/python" -m pip install --quiet --disable-pip-version-check uv
# setuptools builds the project itself, without build isolation, so it is locked like everything else.
compile() { echo 'setuptools>=77' | "$bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@" setup.cfg -; }
compile --output-file requirements/run.lock
compile --extra otel --constraint requirements/run.lock --output-file requirements/otel.lock
compile --extra test --constraint requirements/run.lock --output-file requirements/test.lock
compile --extra release --constraint requirements/test.lock --output-file requirements/release.lock
# What tests/clients drives.
"$bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
  --override tests/clients/overrides.txt --output-file tests/clients/clients.lock tests/clients/clients.in
if command -v npm >/dev/null; then
  (cd tests/clients/node && npm install --package-lock-only --ignore-scripts --no-audit --no-fund --loglevel=error)
fi
# Left by the build; Python would believe its list of plugins even when setup.cfg has changed.
rm -rf rom_agent.egg-info
