# Two commands that do all of their own set-up: `make quickstart`, `make test`.
# They need Python 3.11 or newer and nothing else; everything is put into .venv.

RECENT := 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c $(RECENT) 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
EXTRAS ?= test,synth
OUT ?= runs/$(if $(IMAGES),portraits,quickstart)
LIMIT ?= 60
# On the faces that ship, a small network with a decoder; on photos of people, dlib's.
SHOWN := --backbone=iresnet_arcface_small --decoder=iresnet_arcface_small_decoder

.PHONY: quickstart test format clean

quickstart: .venv/core
	$(BIN)/python -m experiments.discover_ssi $(if $(IMAGES),--images="$(IMAGES)",$(SHOWN)) --limit=$(LIMIT) --out_dir="$(OUT)" --resume

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest -n auto --dist=loadfile

format: .venv/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache

.venv/core: pyproject.toml
	@"$(PYTHON)" -c $(RECENT) 2>/dev/null || { echo "Python 3.11 or newer is needed and was not found; name one: make PYTHON=/path/to/python3.12 ..."; exit 2; }
	"$(PYTHON)" -m venv .venv || { echo "The venv module is missing; on Debian: apt install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/test: .venv/core
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@
