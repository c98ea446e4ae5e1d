# Everything below works on a machine that has Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
WORKERS ?= 3

.PHONY: help demo test release-test lint requirements clean

help: ## What can be done here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.ready ## Build and evaluate the demo benchmark (ARGS="--sandbox docker" and the like)
	@$(BIN)/isobench demo $(ARGS)

test: $(VENV)/.ready lint ## Lint, types, the tests of a push (ARGS="-k name" and the like; WORKERS=0: one test at a time)
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

release-test: $(VENV)/.ready lint ## Lint, types, all tests: what a push only samples, too (half an hour)
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --thorough $(ARGS)

lint: $(VENV)/.ready ## Lint, format check, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

requirements: $(VENV)/.ready ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --upgrade --no-emit-index-url --no-annotate \
		--custom-compile-command "make requirements" --group dev pyproject.toml -o requirements.txt

clean: ## Remove the virtual environment and caches (not the store)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Bytecode is compiled once here: Prefect's server is large, and some systems forbid writing it on import.
$(VENV)/.ready: pyproject.toml requirements.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || \
		{ echo "Could not create $(VENV). On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing isobench into $(VENV) ..."
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "isobench needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@$(BIN)/pip install -q --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"
	@$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode -r requirements.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@
