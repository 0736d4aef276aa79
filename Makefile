# What a person types. `make demo` and `make test` do their own set-up; run again, they change nothing.
SKIFF := .venv/bin/skiff
PYTHON := .venv/bin/python

.PHONY: setup up demo test lint format down

setup:
	@scripts/setup.sh

up: setup
	@$(SKIFF) up

demo: setup
	@$(SKIFF) demo

down:
	@if [ -x $(SKIFF) ]; then $(SKIFF) down; else echo "nothing is installed"; fi

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	$(PYTHON) scripts/house_numbers.py

test:
	@scripts/setup.sh --tests
	@$(MAKE) --no-print-directory lint
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/pytest

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
