PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet

up: .venv/run       ## start everything and print where it is
	.venv/bin/plixa up

dev: .venv/test     ## the same, starting again at every change
	.venv/bin/plixa up --reload

demo: .venv/run     ## fill a busy demo workspace
	.venv/bin/plixa demo

test: .venv/test    ## the whole suite against embedded servers of its own
	.venv/bin/pytest -n auto

check: .venv/test   ## format, lint, types, import rules, tests, contract
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pytest -n auto

bench: .venv/test   ## ratios against minimal programs on this machine, ten minutes
	.venv/bin/python -m tests.bench

bench-full: .venv/test ## the same with every size, an hour
	.venv/bin/python -m tests.bench --full

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run: pyproject.toml | .venv/bin/python
	$(PIP) install --editable . && touch $@

.venv/test: pyproject.toml | .venv/bin/python
	$(PIP) install --editable '.[test]' && touch $@ .venv/run

.PHONY: up dev demo test check bench bench-full
