# Each target sets up what it needs: a virtual environment in .venv with pinned packages.

PYTHON ?= python3
N ?= 10
export N

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUNBUFFERED := 1
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help run up test lint format bench screenshots clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

run: .venv/run ## Run the sample: emulator, worker and client (N=10 items), then stop
	@honcho start --no-prefix

up: .venv/run ## Keep an emulator and a worker running, until Ctrl-C
	@honcho start --no-prefix emulator worker

test: .venv/dev node_modules ## Run the tests
	pytest -n 4 $(PYTEST_ARGS)

lint: .venv/dev ## Check style and types
	ruff check .
	ruff format --check .
	mypy .

bench: .venv/dev ## Measure worker, emulator and client (QUICK=1: under 90 seconds)
	python -m benchmarks $(if $(QUICK),--quick)

screenshots: .venv/dev ## Remake the pictures in docs/
	python -m tests.screenshots

format: .venv/dev ## Format the code
	ruff check --fix .
	ruff format .

clean: ## Remove what the other targets have made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache node_modules build

.venv/run: requirements-run.txt requirements.txt emulator/requirements.txt | .venv/bin/python
	$(INSTALL) -r requirements-run.txt
	@touch $@

.venv/dev: requirements-dev.txt .venv/run
	$(INSTALL) -r requirements-dev.txt
	@touch $@

# The accessibility test and tests/interop need it, and skip without.
node_modules: package.json package-lock.json
	@if command -v npm >/dev/null; then npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; fi
	@mkdir -p $@ && touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "$(PYTHON) is older than 3.10. Name a newer one: make run PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
