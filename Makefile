# Every target installs what it needs: `make tour` on a fresh clone creates .venv, installs the package, and runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install tour test recipes campaign lint docs
# The tests are many small computations: they run in a process per core, each with one thread. The tests of a file run
# in the same process, because they share zoos and runs.
test recipes campaign: export OMP_NUM_THREADS := 1
IN_PARALLEL := -n 2 --dist loadfile

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

install: $(STAMP)  ## create .venv and install the package with its development tools

tour: $(STAMP)  ## run the tour: a small zoo, two encoders, one report
	.venv/bin/rnn2vec tour --out tour

test: $(STAMP)  ## run unit and property tests with line coverage of src
	$(PY) -m pytest $(IN_PARALLEL) --cov --cov-report=term:skip-covered --cov-fail-under=90

recipes: $(STAMP)  ## run small end-to-end runs, presets and kill tests
	$(PY) -m pytest $(IN_PARALLEL) -m slow

campaign: $(STAMP)  ## run the long campaign of kills, full disks, hostile files, races and mutations
	$(PY) -m tests.campaign --long

docs: $(STAMP)  ## build the documentation site into site/, which opens from the file system
	.venv/bin/zensical build --clean --strict

lint: $(STAMP)  ## check style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m basedpyright

# Debian's python3 may lack ensurepip; the existing pip then installs pip into the new environment.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3.11 found: install Python 3.11, or set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv \
		|| { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python $(PY) install pip; }
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
