# make demo: train small, sample, score, report     make test: the quick tests     make test-all: everything
# make test-mutants: put faults in, one by one, and see that tests notice
# make test-lowest: the quick tests with the lowest releases that pyproject.toml allows, on PYTHON=python3.11
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
.PHONY: demo test test-all test-mutants test-lowest lint

demo: $(VENV)/.demo
	$(BIN)/ldm-ocean demo

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

test-all: $(VENV)/.all lint
	$(BIN)/python -m pytest -m "slow or not slow" -p tests.reliability.page

test-mutants: $(VENV)/.test
	$(BIN)/python -m tests.mutants

test-lowest: $(LOWEST)/.all
	$(LOWEST)/bin/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python $(LOWEST)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(@:/bin/python=)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,sim]'
	touch $@

$(VENV)/.all: $(VENV)/.test
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,sim,physics,bench]'
	touch $@

$(LOWEST)/.all: $(LOWEST)/bin/python pyproject.toml constraints-lowest.txt
	$(LOWEST)/bin/pip install --quiet -c constraints-lowest.txt -e '.[dev,sim,physics,bench]'
	touch $@
