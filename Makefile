# Each target sets up what it needs: a virtual environment in .venv, from the lock files.

PYTHON ?= python3
N ?= 10
WORKERS ?= 1

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUNBUFFERED := 1
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

STATE := $(if $(DB),--db-file '$(DB)')

# A release of the last three days is not taken: a malicious one is mostly found by then.
COMPILE := uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--exclude-newer '3 days' --annotation-style line --custom-compile-command 'make lock'

.PHONY: help run up test test-rest test-all chaos lint format lock fuzz bench screenshots clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

run: .venv/run ## Run emulator, worker and client (N=10 items, TIMEOUT=seconds), then stop
	@python run.py $(N) $(if $(TIMEOUT),--timeout $(TIMEOUT)) --workers $(WORKERS) $(STATE)

up: .venv/dev ## Keep an emulator (DB=file for its state) and WORKERS=1 workers running, and reload
	@python run.py --up --workers $(WORKERS) $(STATE)

# Much of the time is waiting. The tests start many programs: compile their modules once.
test test-rest test-all: export PYTHONDONTWRITEBYTECODE :=
test: .venv/dev ## Run the tests that a change needs (under 90 seconds)
	pytest -n 6 $(PYTEST_ARGS)
	cd emulator && pytest -n 6 $(PYTEST_ARGS)

test-rest: .venv/dev emulator/tests/node_modules ## Run all other tests
	pytest -n 6 tests/rest $(PYTEST_ARGS)
	cd emulator && pytest -n 6 tests/rest $(PYTEST_ARGS)

test-all: test test-rest ## Run every test (under 5 minutes)

fuzz: .venv/dev ## Attack the emulator with random calls (SECONDS=600)
	cd emulator && FUZZ_SECONDS=$(or $(SECONDS),60) pytest -q tests/rest/fuzz

chaos: .venv/dev ## Kill emulator, workers and clients at random for SECONDS=60
	pytest -s --chaos-seconds $(or $(SECONDS),60) tests/rest/test_chaos.py
	cd emulator && pytest -s --chaos-seconds $(or $(SECONDS),60) tests/rest/test_told_chaos.py

lint: .venv/dev ## Check style and types
	ruff check .
	ruff format --check .
	mypy .
	cd emulator && mypy .

bench: .venv/dev ## Measure worker, emulator and client (QUICK=1: under 90 seconds)
	python -m benchmarks $(if $(QUICK),--quick)

screenshots: .venv/dev ## Remake the pictures in emulator/docs/
	cd emulator && python -m tests.screenshots

format: .venv/dev ## Format the code
	ruff check --fix .
	ruff format .

lock: .venv/dev ## Lock the pins with all they need (UPGRADE=1: in newer releases)
	$(COMPILE) requirements-dev.txt --output-file requirements-dev.lock $(if $(UPGRADE),--upgrade)
	@for name in requirements emulator/requirements; do \
		$(COMPILE) $$name.txt --output-file $$name.lock \
			--constraints requirements-dev.lock || exit; \
	done

clean: ## Remove what the other targets have made
	rm -rf .venv emulator/tests/node_modules .ruff_cache
	rm -rf .mypy_cache .pytest_cache emulator/.mypy_cache emulator/.pytest_cache

.venv/run: requirements.lock emulator/requirements.lock emulator/pyproject.toml | .venv/bin/python
	$(INSTALL) -r requirements.lock
	$(INSTALL) -r emulator/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable emulator
	@touch $@

.venv/dev: requirements-dev.lock .venv/run
	$(INSTALL) -r requirements-dev.lock
	@touch $@

# The accessibility test and the tests of JavaScript programs need it, and are skipped without.
emulator/tests/node_modules: emulator/tests/package.json emulator/tests/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix emulator/tests --ignore-scripts --no-audit --no-fund --loglevel=error; fi
	@mkdir -p $@ && touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "$(PYTHON) is older than 3.10. Name a newer one: make run PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
