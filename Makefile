# `make demo` and `make test` do everything on a fresh machine that has Python >= 3.11 and make; `make help` lists the rest.

PYTHON ?= python3
JOBS ?= 2
OUT ?= demo

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt
# Each of the JOBS processes has one thread, so that they do not fight over the cores.
TESTS := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile

.PHONY: help demo test fast check docs clean

help:
	@echo "make demo    install into .venv and run the demo into $(OUT)/"
	@echo "make test    everything that CI runs: style, types, documentation, all tests"
	@echo "make fast    the unit tests alone"
	@echo "make check   style and types"
	@echo "make docs    the documentation, into site/"
	@echo "make clean   delete .venv and everything that was made"

demo: $(VENV)/.installed
	$(BIN)/kinema demo --out $(OUT)

test: check docs
	$(TESTS)

fast: $(VENV)/.installed-dev
	$(TESTS) -m "not slow"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) site build dist .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Installed again only where what decides the installation has changed.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev,video,mocap]'
	touch $@ $(VENV)/.installed
