# Every target sets itself up: `make tour` on a bare clone makes .venv, installs into it, and runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install tour test recipes lint
# The tests are many small computations: a process on each core, and no threads that get in each other's way. The
# tests of a file stay together, for the zoos and runs that they share.
test recipes: export OMP_NUM_THREADS := 1
SIDE_BY_SIDE := -n 2 --dist loadfile

help:  ## this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

install: $(STAMP)  ## make .venv and install the package with its development tools, once

tour: $(STAMP)  ## the main job: a small zoo, two encoders, one report
	.venv/bin/rnn2vec tour --out tour

test: $(STAMP)  ## unit and property tests, with line coverage of src
	$(PY) -m pytest $(SIDE_BY_SIDE) --cov --cov-report=term:skip-covered --cov-fail-under=90

recipes: $(STAMP)  ## small end-to-end runs, presets and kill tests
	$(PY) -m pytest $(SIDE_BY_SIDE) -m slow

lint: $(STAMP)  ## style, format, types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m basedpyright

# Debian's python3 may come without ensurepip; then the pip at hand fills the new environment.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3.11 found: install Python 3.11, or give PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv \
		|| { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python $(PY) install pip; }
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
