# Each target makes or refreshes .venv by itself. PYTHON names the interpreter to make it with.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench docs news lock audit clean .venv

# The packages that it runs on are enough for this.
run: .venv/run
	$(BIN)/ampproxy demo $(ARGS)

# Hypothesis would load every installed package that knows it.
test: .venv
	HYPOTHESIS_NO_PLUGINS=1 $(BIN)/pytest -n auto --dist worksteal $(ARGS)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv
	$(BIN)/python -m benchmarks $(ARGS)

# As web pages, in build/docs. A link that leads nowhere fails.
docs: .venv
	@echo "Installing requirements/docs.txt into .venv ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo "The documentation is in build/docs/index.html"

# What the next release's entry in NEWS.md will be.
news: .venv
	@$(BIN)/towncrier build --draft --version next

# Writes requirements/*.txt anew: the newest versions that setup.py allows, with their hashes.
lock:
	PYTHON="$(PYTHON)" .ci/lock

# Asks the advisories of PyPI and OSV about what is locked; needs the network, and is no part of "make lint".
audit:
	PYTHON="$(PYTHON)" .ci/audit

# A directory as a target: its stamps tell whether what it was made from has changed.
.venv: .venv/dev

.venv/dev: requirements/build.txt requirements/dev.txt setup.py pyproject.toml .ci/venv
	PYTHON="$(PYTHON)" sh .ci/venv dev
	touch .venv/run $@

# What runs is a part of what develops: where that is there already, nothing is to be done.
.venv/run: requirements/build.txt requirements/run.txt setup.py pyproject.toml .ci/venv
	PYTHON="$(PYTHON)" sh .ci/venv run
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
