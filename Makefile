# Every target installs what it needs into .venv; a fresh clone needs Python >= 3.11, make and (for the heap guard) a C compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test test-bounded test-crash check docs bench clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/run.stamp: pyproject.toml setup.py $(wildcard src/penstock/memory/*.c)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: $(VENV)/run.stamp ## Run the main job: a PyFlink word count over a real text, inside its memory plan
	$(BIN)/penstock run --memory examples/word_count.py --input examples/data/declaration.txt

test: $(VENV)/test.stamp ## Run the tests; those of memory in a process of their own, whose heap is theirs
	$(BIN)/python -m pytest tests/memory
	$(BIN)/python -m pytest tests --ignore=tests/memory

test-bounded: $(VENV)/test.stamp ## The bounded-memory suite in full
	$(BIN)/python -m pytest tests/bounded -m "slow or not slow"

test-crash: $(VENV)/test.stamp ## The crash suite in full
	$(BIN)/python -m pytest tests/crash -m "slow or not slow"

check: $(VENV)/test.stamp ## Format, lint, types, layers, unit tests
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

docs: $(VENV)/test.stamp ## Regenerate the reference pages under docs/
	$(BIN)/python -m penstock.tools.reference docs

bench: $(VENV)/test.stamp ## Time it: ratios against the hand-written loop and, where installed, against peers
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build src/*.egg-info
