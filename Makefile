# Every command a newcomer needs. Needs Python 3.11 or newer, make and a package index; no git, no Node.
#
#   make demo      six sites and a hub on this machine answer a real question      (about a minute after install)
#   make test      all tests but the long ones
#   make test-all  the long ones too (minutes), and those that need Spark
#   make attack    every attack, twice: what leaks without the defence, and what stops it
#   make check     format, lint, types, architecture, tests: what a change must pass
#   make story     five parties: agreement, review, run, release, evidence; each command and what it says (minutes)
#   make governance  every rule of law on a worked case, on its fault, without each fact
#   make bench     the timing table, beside statsmodels, scikit-learn, lifelines and R
#
# `test-all` needs Chromium, which walks through the console's login, Node, for an OpenID provider that is not ours, and R,
# which runs the lines of the question pages; tools/services.sh installs them. `make test` stays a matter of Python packages. PostgreSQL: nothing here needs it yet.

VENV   ?= .venv
JOBS   ?= 2
BIN    := $(VENV)/bin
DEMO   := $(VENV)/.installed-demo
DEV    := $(VENV)/.installed-dev
BENCH  := $(VENV)/.installed-bench
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# One BLAS thread per process: sites share the machine (and results do not depend on it).
export OPENBLAS_NUM_THREADS = 1
export OMP_NUM_THREADS = 1

.PHONY: demo test test-all attack story governance check check-static format bench clean help

demo: $(DEMO)
	$(BIN)/isthmus demo

test: $(DEV)
	$(PYTEST) -m "not long and not spark and not bench"

test-all: $(DEV)
	sh tools/services.sh chromium node npm Rscript
	npm install --silent --no-fund --no-audit --prefix $(VENV)/node oidc-provider@9
	HYPOTHESIS_PROFILE=explore $(PYTEST) -m "not bench"

attack: $(DEV)
	$(PYTEST) -q -m "not long" tests/attack --attack-table docs/attacks.md

story: $(DEV)
	rm -rf build/story
	$(BIN)/python tools/story.py build/story

governance: $(DEV)
	$(BIN)/python tools/governance.py

check: check-static test

check-static: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(BENCH)
	$(BIN)/python -m bench

# A stamp per set of extras: reinstalled when pyproject.toml changes, or the way of making the environment does.
$(VENV)/.installed-%: pyproject.toml tools/venv.sh
	sh tools/venv.sh $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

help:
	@sed -n '3,10s/^# *//p' Makefile

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
