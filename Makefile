# make run: set up and start everything.  make test: set up and run the tests.  make help: the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CI),--constraint constraints.txt)
TEMPLATES := templates notifications/channels
BENCHMARKS := benchmarks/schedules.py benchmarks/burst.py benchmarks/same_second.py benchmarks/dependencies.py benchmarks/history.py benchmarks/idle.py benchmarks/metrics.py benchmarks/notifications.py benchmarks/refusals.py benchmarks/site.py benchmarks/site_slow_clients.py benchmarks/site_storm.py

# What the tests and the site start, a hundred processes or five, is compiled once and not by each of them.
unexport PYTHONDONTWRITEBYTECODE

export PORT ?= 8000
# Links in messages name the site at this address.
export SITE_URL ?= http://localhost:$(PORT)

.PHONY: help run test faults browser fuzz lint format bench campaign seeded-bugs findings constraints

help:
	@echo "make run       install, set up and start the site on port $(PORT); Ctrl-C ends it"
	@echo "make test      install and run the tests"
	@echo "make faults    the tests that kill processes, which make test leaves out"
	@echo "make browser   the tests in Chromium, which make test leaves out"
	@echo "make fuzz      thousands of requests, which make test leaves out"
	@echo "make lint      ruff, djangofmt, mypy, missing migrations"
	@echo "make format    put code and templates in the one format"
	@echo "make bench     measure"
	@echo "make campaign  the long tests, which make test leaves out"
	@echo "make seeded-bugs  take away one protection after the other: each must make a test fail"
	@echo "make constraints  write the versions that CI installs: the newest that the requirements admit"
	@echo "make findings  surprises of other software, seen again (needs a network)"

# A stamp is newer than the requirements only when all of them are installed.
$(VENV)/runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/development: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements-dev.txt
	@touch $@ $(VENV)/runtime

# The shell outlives Ctrl-C, so that make waits until everything has ended, and reports no error.
run: $(VENV)/runtime
	@$(BIN)/python manage.py setup
	@trap : INT TERM; $(BIN)/python manage.py start || test $$? -eq 130

test: $(VENV)/development
	$(BIN)/python -m pytest -n 2 -m "not campaign and not browser and not faults and not fuzz" $(PYTEST_ARGS)

faults: $(VENV)/development
	$(BIN)/python -m pytest -n 2 -m "faults and not campaign" $(PYTEST_ARGS)

browser: $(VENV)/development
	$(BIN)/python -m pytest -m "browser and not campaign" $(PYTEST_ARGS)

fuzz: $(VENV)/development
	$(BIN)/python -m pytest -n 2 -m "fuzz and not campaign" $(PYTEST_ARGS)

campaign: $(VENV)/development
	$(BIN)/python -m pytest -m campaign $(PYTEST_ARGS)

seeded-bugs: $(VENV)/development
	$(BIN)/python -m tests.seeded_bugs $(BUGS)

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djangofmt --quiet --check $(TEMPLATES)
	$(BIN)/python -m pytest -q tests/unit/test_templates.py tests/unit/test_sizes.py
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djangofmt --quiet $(TEMPLATES)

bench: $(VENV)/development
	@status=0; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || status=1; done; exit $$status

constraints:
	$(PYTHON) -m venv --clear $(VENV)-constraints
	$(VENV)-constraints/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(VENV)-constraints/bin/python -m pip freeze --local --disable-pip-version-check >constraints.txt
	rm -rf $(VENV)-constraints

findings:
	@status=0; for script in findings/*.sh; do \
		if sh "$$script"; then echo "as described: $$script"; else echo "changed: $$script"; status=1; fi; \
	done; exit $$status
