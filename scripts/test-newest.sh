#!/usr/bin/env bash
# The wire and the local Bedrock against the newest released boto3, botocore and urllib3, whatever the lock says: the
# wire reaches for private names of theirs. In a virtual environment of its own; without a package index it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
pip() { "$folder/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install --require-hashes -r requirements/run.lock -r requirements/test.lock
pip install --no-deps --no-build-isolation --editable .
rm -rf rom_agent.egg-info
pip install --upgrade boto3 botocore urllib3 || { echo "the package index does not answer: nothing was tested" >&2; exit 1; }
"$folder/bin/python" -m pip list 2>/dev/null | grep -E '^(boto3|botocore|urllib3) '
PATH="$folder/bin:$PATH" "$folder/bin/python" -m pytest -q tests/rom_core/bedrock tests/local_bedrock "$@"
