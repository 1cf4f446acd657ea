# Two commands do everything: `make demo` and `make test`. Both set themselves up first.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: demo test lint types unit setup clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo   solve held-out puzzles with a shipped reasoner; see what depth and breadth buy"
	@echo "make test   lint, types, import walls and tests"
	@echo "make clean  remove the environment that these made"

demo: $(VENV)/.ready
	$(BIN)/equilibria demo

test: $(VENV)/.ready-dev lint types unit

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.ready-dev
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# torch first and by its pinned version, so that pip takes a CPU build where the index offers one.
$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Equilibria needs Python 3.11 or newer; say which one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV)
