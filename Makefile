# `make demo` and `make test` set everything up themselves, in .venv.
# To use another Python: make PYTHON=python3.13 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# PyTorch's own index has a CPU build (200 MB) where PyPI's, on Linux, brings gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test setup clean

demo: $(READY)
	$(BIN)/accompany examples/korobeiniki.mid -o out/korobeiniki.mid --plot out/korobeiniki.png

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV): a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --retries 1 --timeout 20 --extra-index-url $(TORCH_INDEX) torch
	$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) out
