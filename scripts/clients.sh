#!/usr/bin/env bash
# Print the folder with what tests/clients drives: a virtual environment (`venv`) with the Python clients and the npm
# packages (`node_modules`), both by their locks, filled once. Needs Node 20 or newer with npm; where it is missing one
# sentence says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$PWD/.cache/clients
here=tests/clients
mkdir -p "$cache"
# Two runs at once fill it one after the other, where the system can make them wait.
exec 9>"$cache/lock"
if command -v flock >/dev/null; then flock 9; fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  # Debian's own, where that is possible: as root, with a package list.
  if [ "$(id -u 2>/dev/null)" = 0 ] && command -v apt-get >/dev/null; then
    { timeout 120 apt-get -qq update && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -qq install --no-install-recommends -y nodejs npm; } >/dev/null 2>&1 || true
  fi
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null || [ "$(node --print 'process.versions.node.split(".")[0]')" -lt 20 ]; then
  echo "the clients for JavaScript need Node 20 or newer with npm: install the packages nodejs and npm" >&2
  exit 1
fi
if ! cmp -s "$here/clients.lock" "$cache/clients.lock"; then
  rm -rf "$cache/venv" "$cache/clients.lock"
  cp "$here/clients.lock" "$cache/clients.lock.new"
  "${PYTHON:-python3}" -m venv "$cache/venv"
  # The lock says all; instructor's own idea of a version would otherwise be in the way (overrides.txt).
  "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$cache/clients.lock.new" >&2
  mv "$cache/clients.lock.new" "$cache/clients.lock"
fi
if ! cmp -s "$here/node/package-lock.json" "$cache/package-lock.done"; then
  cp "$here/node/package.json" "$here/node/package-lock.json" "$cache"
  (cd "$cache" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  cp "$cache/package-lock.json" "$cache/package-lock.done"
fi
echo "$cache"
