# dqlab: each target sets up all that it needs, in an environment of its own (.venv).
# PYTHON=... names another Python than the first suitable one found, VENV=... another place for the environment; both
# count when it is made (`make clean` removes it).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab demo test lint bench html reset clean

VENV ?= .venv
BIN ?= $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

lab: $(VENV)/.lab  ## open the course in JupyterLab (without a browser: print its address)
	@$(BIN)/python .jupyter/lab.py

demo: $(VENV)/.lab  ## a crawl in the terminal, in a few seconds, with a worker killed on the way
	@$(BIN)/python -m dqlab demo

test: $(VENV)/.$(if $(filter ecosystem engines,$(PART)),ecosystem,test)  ## run linters, types, tests and notebooks; PART=... runs a part (broker, notebooks, long, ...)
	@$(BIN)/python -m tests $(PART)

lint: $(VENV)/.test  ## only linters and types
	@$(BIN)/python -m tests lint

bench: $(VENV)/.bench  ## measure; NAME=... runs one benchmark
	@$(BIN)/python -m tests.benchmarks $(NAME)

html: $(VENV)/.lab  ## the course as pages in build/html, to read without network or kernel
	@$(BIN)/python .jupyter/export.py

reset:  ## the notebooks as they were committed, for the next class (what was written into them is lost)
	git checkout -- notebooks
	rm -rf notebooks/play
	find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +

clean:  ## remove the environment and every generated file
	rm -rf $(VENV) .jupyter/state notebooks/play .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
	find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +

# ---------------------------------------------------------------- the environment
# A stamp per set of extras, older than pyproject.toml when that has changed.

install = @echo "Installing dqlab[$(1)] into $(VENV) (once, and when pyproject.toml changes) ..."; \
	$(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[$(1)]' && touch $@

# It brings an extension of JupyterLab, which the lessons must not meet: one test's script has it on its own path.
apart = $(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --upgrade --no-deps \
	--target $(VENV)/apart

$(VENV)/.lab: pyproject.toml $(VENV)/bin/python
	$(call install,lab)

$(VENV)/.test: pyproject.toml Makefile $(VENV)/.lab
	$(call install,lab$(,)test)
	@$(apart) 'ipyparallel>=8.8' 'decorator>=5' && touch $@

$(VENV)/.ecosystem: pyproject.toml $(VENV)/.test
	$(call install,lab$(,)test$(,)ecosystem)

$(VENV)/.bench: pyproject.toml $(VENV)/.lab
	$(call install,lab$(,)bench)

, := ,

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "dqlab needs Python 3.11 or newer, and found" \
		"$$(python3 --version 2>/dev/null || echo no python3 at all)."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 lab"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module." \
		"On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dqlab needs Python 3.11 or newer," \
		"and $(PYTHON) is" "$$($(PYTHON) --version). Name another: make PYTHON=/path/to/python3.12 lab"; exit 1; } >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -c '$(ORIGIN)' > $(VENV)/.origin

# An environment knows the folder that it was made for and the version of its Python. When the folder has been moved or
# copied, or that Python has given way to another, it can't work any more and is made anew.
ORIGIN := import os, sys; print(*sys.version_info[:2], ascii(os.getcwd()))

ifneq ($(wildcard $(VENV)/.origin),)
ifneq ($(shell cat $(VENV)/.origin),$(shell $(VENV)/bin/python -c '$(ORIGIN)' 2>/dev/null))
.PHONY: $(VENV)/bin/python
endif
endif
