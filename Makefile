# Everything here works from a clean checkout with Python 3.11 or newer, make and git.
#
#   make PYTHON=/usr/bin/python3.12 ...   makes .venv with that Python

PYTHON ?= $(shell command -v python3.11 || command -v python3)

BIN := .venv/bin
# .venv is complete when this file is newer than what it depends on, and names this folder.
READY := .venv/ready
# The same for what only the benchmarks need, and only the audit.
BENCH_READY := .venv/bench-ready
AUDIT_READY := .venv/audit-ready

.PHONY: help demo test check unit oldest pythons system simulation fuzz coverage bench audit setup clean

help:
	@echo "make demo      two supernodes and three nodes on this machine, and a tour of them"
	@echo "make test      everything: check, the unit and the system tests, the simulation, some fuzzing"
	@echo "make check     ruff, mypy, import-linter, bandit, the news fragments, what the"
	@echo "               documents name, and whether the package is complete"
	@echo "make unit      the unit tests alone"
	@echo "make oldest    the unit tests with the oldest versions of all libraries that are let in"
	@echo "make pythons   the unit tests with every Python from 3.11 on that is found, in PATH and"
	@echo "               by pyenv; a minute or two each"
	@echo "make system    the system tests alone; as root, with iproute2 and curl, all of them"
	@echo "make simulation  200 random histories of 50 supernodes and 1,000 nodes, in virtual time;"
	@echo "               1 GiB spreads to 1,000 nodes, and in 200 histories something to some that"
	@echo "               die, lie and stall, which takes an hour; SEED=... for the same again"
	@echo "make fuzz      each parser on input that nobody meant well; SECONDS=600 for each"
	@echo "make coverage  the unit tests, and which lines none of them reaches"
	@echo "make bench     how fast it is, next to what it is measured against; about 45 minutes."
	@echo "               PARTS='many large' for these alone; docs/benchmarks.md has their names"
	@echo "make audit     asks PyPI which known holes there are in what is installed in .venv"
	@echo "make setup     only .venv, which the others make by themselves"
	@echo "make clean     removes .venv and whatever else was made here"

# -P, here and below: what was fetched into this folder meanwhile, and is called like a module,
# is not run.
demo: $(READY)
	@$(BIN)/python -P -m tools.demo

test: $(READY)
	@$(BIN)/python tools/run_tests.py fuzz simulation check unit oldest system

check unit oldest system: $(READY)
	@$(BIN)/python tools/run_tests.py $@

pythons: $(READY)
	@$(BIN)/python -P -m tools.other_versions pythons

# Where the simulation and the fuzzing begin: of themselves, at the day's date.
SEED :=

simulation: $(READY)
	@$(BIN)/python -P -m simulation $(addprefix --seed ,$(SEED))
	@$(BIN)/python -P -m simulation.spread $(addprefix --seed ,$(SEED))

# Seconds for each target.
SECONDS := 600

fuzz: $(READY)
	@$(BIN)/python -P -m fuzz --seconds $(SECONDS) $(addprefix --seed ,$(SEED))

coverage: $(READY)
	$(BIN)/coverage run -m twisted.trial p2ptwisted
	$(BIN)/coverage report --skip-covered --show-missing

# Parts of it; of themselves, all.
PARTS :=

bench: $(BENCH_READY)
	@$(BIN)/python -P -m bench $(addprefix --only ,$(PARTS))

$(BENCH_READY): $(READY)
	@$(BIN)/python -P -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

# Not a part of the tests: what others find out some day is no change's doing. With --strict, what
# can't be looked up is a failure; so our own, which is published nowhere, must not be asked about.
audit: $(AUDIT_READY)
	@$(BIN)/python -P -m pip freeze --exclude-editable >.venv/audit.txt
	@$(BIN)/python -P -m pip_audit --strict --disable-pip --no-deps --requirement .venv/audit.txt

$(AUDIT_READY): $(READY)
	@$(BIN)/python -P -m pip install --quiet --disable-pip-version-check --editable '.[audit]'
	@touch $@

setup: $(READY)

ifneq ($(file <$(READY)),$(CURDIR))
.PHONY: $(READY)
endif
$(READY): pyproject.toml setup.py tools/make_venv.sh
	@sh tools/make_venv.sh "$(PYTHON)"
	@echo "$(CURDIR)" >$@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .coverage build dist *.egg-info _trial_temp*
	rm -f twisted/plugins/dropin.cache twistd.pid
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
