PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help run test test-newest test-prometheus clients bench docs env-example dist audit sbom lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.run ## serve on 127.0.0.1:8000 against the bundled local Bedrock
	ROM_ENV=$${ROM_ENV:-development} exec $(BIN)/rom serve

test: $(VENV)/.test ## lint, types and tests
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/ci-local.sh

test-newest: ## the wire against the newest released boto3, botocore and urllib3 (asks the package index)
	PYTHON="$(PYTHON)" scripts/test-newest.sh

test-prometheus: $(VENV)/.test ## alert rules, then a real Prometheus against a real server (part of `make test`)
	scripts/test-prometheus-rules.sh
	$(BIN)/python scripts/test_prometheus.py

clients: $(VENV)/.test ## drive real clients in Python and Node, and write the table of docs/clients.md
	scripts/clients.sh >/dev/null
	PYTHONPATH=tests:. $(BIN)/python -m clients.table

bench: $(VENV)/.test ## speed, as ratios against a bare handler in the same run
	$(BIN)/python -m bench

docs: $(VENV)/.run ## write docs/hooks.md, docs/reference.md and docs/configuration.md from the declarations
	$(BIN)/python -m rom_core.ops.reference

env-example: $(VENV)/.run ## write .env.example from the declared settings
	$(BIN)/python -m rom_core.ops.env_example > .env.example.new && mv .env.example.new .env.example

dist: $(VENV)/.test ## wheel and source distribution in dist/, checked
	rm -rf dist build
	$(BIN)/python -m build --quiet --no-isolation
	@rm -rf build rom_agent.egg-info
	$(BIN)/python -m twine check --strict dist/*

audit: $(VENV)/.release ## look the locked versions up among known vulnerabilities
	scripts/audit.sh $(BIN)

sbom: $(VENV)/.release ## dist/sbom.json: what a server runs with, as CycloneDX
	scripts/sbom.sh $(BIN)

lock: $(VENV)/.test ## resolve the dependencies of setup.cfg anew into requirements/*.lock
	scripts/lock.sh $(BIN)

clean: ## remove the virtual environment and the caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ROM Agent needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.lock setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# Building leaves a description of the project beside it, which Python would believe even when it has grown old.
	@rm -rf rom_agent.egg-info
	@touch $@

$(VENV)/.test: requirements/test.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.lock
	@touch $@

$(VENV)/.release: requirements/release.lock $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/release.lock
	@touch $@
