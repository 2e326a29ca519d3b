#!/usr/bin/env bash
# Write dist/sbom.json: what a server runs with (requirements/run.lock), with versions and hashes, as CycloneDX 1.6.
# The same input gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
version=$(sed -n 's/^__version__ = "\([^"]*\)".*/\1/p' rom_core/__init__.py)
[ -n "$version" ] || { echo "sbom: rom_core/__init__.py does not say which version this is" >&2; exit 1; }
printf '[project]\nname = "rom-agent"\nversion = "%s"\n' "$version" >"$folder/pyproject.toml"
mkdir -p dist
"$bin/cyclonedx-py" requirements requirements/run.lock --pyproject "$folder/pyproject.toml" --spec-version 1.6 \
  --output-reproducible --validate --output-file dist/sbom.json
echo "dist/sbom.json: $(grep -c '"purl"' dist/sbom.json) components"
