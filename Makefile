# Two commands that do all of their own set-up: `make quickstart IMAGES=DIR`, `make test`.
# They need Python 3.11 or newer and nothing else; everything is put into .venv.

PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell command -v $(p) 2>/dev/null)))
BIN := .venv/bin
OUT ?= runs/quickstart
LIMIT ?= 60

.PHONY: quickstart test format clean

quickstart: .venv/core
	@test -n "$(IMAGES)" || { echo "Name a folder of portraits, one frontal face each: make quickstart IMAGES=DIR"; exit 2; }
	$(BIN)/python -m experiments.discover_ssi --images="$(IMAGES)" --limit=$(LIMIT) --out_dir="$(OUT)" --resume

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest

format: .venv/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache

.venv/core: pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.12 ..."; exit 2; }
	"$(PYTHON)" -m venv .venv || { echo "The venv module is missing; on Debian: apt install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/test: .venv/core
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@
