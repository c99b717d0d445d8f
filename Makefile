# make run: set up and start everything.  make test: set up and run the tests.  make help: the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
BENCHMARKS := benchmarks/schedules.py benchmarks/burst.py benchmarks/same_second.py benchmarks/dependencies.py benchmarks/history.py benchmarks/notifications.py benchmarks/site.py

export PORT ?= 8000
# honcho gives each kind of process a port of its own; links must name that of the site in all of them.
export SITE_URL ?= http://localhost:$(PORT)

.PHONY: help run test faults browser lint format bench campaign

help:
	@echo "make run       install, set up and start the site on port $(PORT); Ctrl-C ends it"
	@echo "make test      install and run the tests"
	@echo "make faults    the tests that kill processes, which make test leaves out"
	@echo "make browser   the tests in Chromium, which make test leaves out"
	@echo "make lint      ruff, mypy, missing migrations"
	@echo "make format    put the code in the one format"
	@echo "make bench     measure"
	@echo "make campaign  the long tests, which make test leaves out"

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

# The shell outlives Ctrl-C, so that make waits until honcho has ended everything, and reports no error.
run: $(VENV)/runtime
	@$(BIN)/python manage.py setup
	@trap : INT TERM; PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho start || test $$? -eq 130

test: $(VENV)/development
	$(BIN)/python -m pytest -n 2 -m "not campaign and not browser and not faults" $(PYTEST_ARGS)

faults: $(VENV)/development
	$(BIN)/python -m pytest -n 2 -m "faults and not campaign" $(PYTEST_ARGS)

browser: $(VENV)/development
	$(BIN)/python -m pytest -m "browser and not campaign" $(PYTEST_ARGS)

campaign: $(VENV)/development
	$(BIN)/python -m pytest -m campaign $(PYTEST_ARGS)

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/development
	@status=0; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || status=1; done; exit $$status
