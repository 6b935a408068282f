# Each target makes or refreshes .venv by itself. PYTHON names the interpreter to make it with.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench docs clean .venv

run: .venv
	$(BIN)/ampproxy demo $(ARGS)

test: .venv
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv
	$(BIN)/python -m benchmarks $(ARGS)

# As web pages, in build/docs. A link that leads nowhere fails.
docs: .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--config-settings editable_mode=compat --editable '.[docs]'
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo "The documentation is in build/docs/contents.html"

# A directory as a target: its stamp tells whether what it was made from has changed.
.venv: .venv/stamp

.venv/stamp: setup.py pyproject.toml .ci/venv
	PYTHON="$(PYTHON)" sh .ci/venv
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
