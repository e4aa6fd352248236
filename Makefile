# Every target works on a machine that has Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MANIFESTS := pyproject.toml sdks/python/pyproject.toml
BENCHMARKS := bench-ingest bench-webhooks bench-live bench-runners

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test lint format bench $(BENCHMARKS) pins clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.dev ## Install everything for work on the project into .venv

demo: $(VENV)/.demo ## Start the server, run a real test suite in four shards, watch it live
	@$(BIN)/orchestrator demo

serve: $(VENV)/.demo ## Start the server on this machine, with its own Postgres, Valkey and Ray
	@$(BIN)/orchestrator serve

test: $(VENV)/.dev ## Run all tests
	@$(BIN)/pytest

lint: $(VENV)/.dev ## Check style, format, types and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and apply what ruff can mend by itself
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(BENCHMARKS) ## Run all benchmarks

bench-ingest: $(VENV)/.dev ## Measure durable results a second, latency and growth
	@$(BIN)/python -m benchmarks.ingest

bench-live: $(VENV)/.dev ## Measure from commit to frame at 1,000 live readers, and what a stalled one costs
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
	rm -rf $(VENV) .tms .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
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
	@echo "Installing what the couriers are compared with into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@
