# setup: an environment of its own and the two bundled models. demo: the main job on the shipped task; one that was
# stopped goes on, one that has ended is shown again, unless the code or the task has changed since.
# All of it needs Python 3.11 or newer, make and a package index; run again, it is done at once.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
MODELS := .venv/.models
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal
PEERS := benchmarks/peers/.venv
SETFIT := benchmarks/peers/setfit/.venv

.PHONY: setup demo test test-all check docs peers clean

setup: $(MODELS)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tuningfork needs Python 3.11 or newer; $(PYTHON) is older. Say: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	@echo "Installing (a few minutes the first time) ..."
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[local,hub,endpoints,documents,metrics,reflect,dev]' --constraint constraints.txt
	@touch $@

$(MODELS): $(STAMP)
	$(BIN)/tuningfork models --fetch
	@touch $@

demo: setup
	@run=$$(ls -td runs/tickets-*/ 2>/dev/null | head -n 1); \
	if [ -n "$$run" ] && [ -f "$$run/log.jsonl" ] && [ -z "$$(find src examples/tickets -type f -not -name '*.pyc' -newer "$$run/log.jsonl")" ]; \
	then set -x; $(BIN)/tuningfork compare --resume "$${run%/}" --runs runs; \
	else set -x; $(BIN)/tuningfork compare examples/tickets/task.yaml --budget light --runs runs; fi

test: setup
	$(PYTEST) -m 'not slow'

test-all: setup
	$(PYTEST) --hypothesis-profile=all

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/python docs/generate.py

# What the benchmarks compare with, in environments of its own.
peers: $(PEERS)/.installed $(SETFIT)/.installed

$(PEERS)/.installed: benchmarks/peers/requirements.txt constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check \
		--requirement benchmarks/peers/requirements.txt --constraint constraints.txt
	@touch $@

# SetFit needs transformers 4, so constraints.txt does not hold for it.
$(SETFIT)/.installed: benchmarks/peers/setfit/requirements.txt
	$(PYTHON) -m venv $(SETFIT)
	$(SETFIT)/bin/python -m pip install -qq --disable-pip-version-check \
		--requirement benchmarks/peers/setfit/requirements.txt
	@touch $@

clean:
	rm -rf .venv $(PEERS) $(SETFIT) .mypy_cache .ruff_cache .pytest_cache build dist
