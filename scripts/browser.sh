#!/usr/bin/env bash
# Print the path of a Chromium for the tests: the one on PATH, else Debian's, installed where that is allowed. Where it
# is not, one sentence says what to install.
set -euo pipefail
find_one() {
  for name in chromium chromium-browser google-chrome; do
    command -v "$name" && return 0
  done
  return 1
}
find_one && exit 0
install_it() {
  timeout 400 apt-get -qq install -y --no-install-recommends -o DPkg::Lock::Timeout=120 chromium >/dev/null 2>&1
}
update() {
  timeout 120 apt-get -qq update >/dev/null 2>&1
}
if [ "$(id -u 2>/dev/null)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  if install_it || { update && install_it; }; then
    find_one && exit 0
  fi
fi
echo "a browser for the tests is missing: install the package chromium (Debian: apt-get install chromium)" >&2
exit 1
