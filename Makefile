# `make demo` and `make test` set everything up themselves, in .venv.
# To use another Python: make PYTHON=python3.13 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# PyTorch's own index has a CPU build (200 MB) where PyPI's, on Linux, brings gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

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
	@if $(BIN)/python -c 'import urllib.request as r; r.urlopen("$(TORCH_INDEX)/torch/", timeout=10)' \
		2>/dev/null; then index="--extra-index-url $(TORCH_INDEX)"; fi; \
		$(PIP) $$index torch
	$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) out
