# Each target makes or refreshes .venv by itself. PYTHON names the interpreter to make it with.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench clean .venv

run: .venv
	$(BIN)/ampproxy demo $(ARGS)

test: .venv
	$(BIN)/pytest -n auto $(ARGS)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv
	$(BIN)/python -m benchmarks $(ARGS)

# A directory as a target: its stamp tells whether what it was made from has changed.
.venv: .venv/stamp

.venv/stamp: setup.py pyproject.toml .ci/venv
	PYTHON="$(PYTHON)" sh .ci/venv
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
