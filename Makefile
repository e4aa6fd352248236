# Every target works on a machine that has Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MANIFESTS := pyproject.toml sdks/python/pyproject.toml
BENCHMARKS := bench-ingest bench-webhooks bench-live bench-runners
WEB := dashboards/web
DASHBOARD := gateway/dashboard/index.html

.DEFAULT_GOAL := help
.PHONY: help setup demo serve dashboard wheel test lint format bench $(BENCHMARKS) pins clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.dev $(WEB)/src/api/schema.ts ## Install everything for work on the project into .venv

# The server works without its dashboard, and says at / that it has none.
demo: $(VENV)/.demo ## Start the server, run a real test suite in four shards, watch it live
	@$(MAKE) --no-print-directory dashboard || echo "The dashboard could not be built; the server goes on without." >&2
	@$(BIN)/orchestrator demo

serve: $(VENV)/.demo ## Start the server on this machine, with its own Postgres, Valkey and Ray
	@$(MAKE) --no-print-directory dashboard || echo "The dashboard could not be built; the server goes on without." >&2
	@$(BIN)/orchestrator serve

dashboard: $(DASHBOARD) ## Build the dashboard from dashboards/web

wheel: $(DASHBOARD) ## Build the wheels of the server, dashboard included, and of the client into dist
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist . ./sdks/python
	@ls dist/*.whl

test: $(VENV)/.dev $(DASHBOARD) ## Run all tests
	@$(NPM) run --silent test
	@$(BIN)/pytest

lint: $(VENV)/.dev $(WEB)/src/api/schema.ts ## Check style, format, types and the direction of imports
	@$(NPM) run --silent lint
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev $(WEB)/node_modules/.installed ## Format the code and apply what can be mended by itself
	@$(NPM) run --silent format
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(BENCHMARKS) ## Run all benchmarks

bench-ingest: $(VENV)/.dev ## Measure durable results a second, latency and growth
	@$(BIN)/python -m benchmarks.ingest

bench-live: $(VENV)/.dev $(DASHBOARD) ## Measure from commit to frame at 1,000 live readers, and the first view of 50,000 tests
	@$(BIN)/python -m benchmarks.live

bench-webhooks: $(VENV)/.bench ## Measure deliveries a second beside other queues, and what dead endpoints cost
	@$(BIN)/python -m benchmarks.webhooks

bench-runners: $(VENV)/.bench ## Measure how evenly tests are dealt out, and what claims and the plugin cost
	@$(BIN)/python -m benchmarks.runners

# Each file is compiled against the one before it, so that all agree on every version.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make pins'
pins: $(VENV)/.dev ## Compile requirements/*.txt again (UPGRADE=1: take the newest versions)
	@$(COMPILE) $(if $(UPGRADE),--upgrade) $(MANIFESTS) requirements/demo.in requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) -c requirements/dev.txt $(MANIFESTS) requirements/demo.in -o requirements/demo.txt
	@$(COMPILE) -c requirements/dev.txt pyproject.toml -o requirements/server.txt
	@$(COMPILE) -c requirements/dev.txt sdks/python/pyproject.toml -o requirements/sdk.txt
	@$(COMPILE) -c requirements/dev.txt requirements/bench.in -o requirements/bench.txt

clean: ## Remove .venv, caches and the data folder .tms
	rm -rf $(VENV) .tms dist gateway/dashboard $(WEB)/node_modules $(WEB)/src/api/schema.ts .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make a second run instant: pip runs again only when a pin or a manifest changed.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements/demo.txt $(MANIFESTS) | $(BIN)/python
	@echo "Installing what the server and the runners need into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(PIP) install --no-deps --no-build-isolation --editable . --editable sdks/python
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.demo
	@echo "Installing the tools for tests and checks into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	@echo "Installing what the product is compared with into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@

# node and npm come from a package of the Python registry, so that nothing has to be there but Python and make.
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix $(WEB)

$(WEB)/node_modules/.installed: $(WEB)/package.json $(WEB)/package-lock.json | $(VENV)/.demo
	@echo "Installing what builds the dashboard into $(WEB)/node_modules ..."
	@$(NPM) ci --ignore-scripts --loglevel error
	@touch $@

$(DASHBOARD): $(WEB)/node_modules/.installed $(WEB)/index.html $(WEB)/vite.config.ts $(shell find $(WEB)/src -type f -not -name schema.ts)
	@$(NPM) run --silent build -- --logLevel warn

# Types of the API, from the server's own description of it.
$(WEB)/src/api/schema.ts: $(WEB)/node_modules/.installed gateway/routes.py gateway/openapi.py $(wildcard gateway/wire/*.py)
	@$(BIN)/python -m gateway | $(NPM) run --silent types > /dev/null
