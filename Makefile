# `make demo` and `make test` set everything up themselves, in .venv.
# To use a certain Python: make PYTHON=python3.13 demo

NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(p) $(NEW_ENOUGH) 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# PyTorch's own index has a CPU build (200 MB) where PyPI's, on Linux, brings gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PYTEST := $(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: demo test explore docs setup browser clean

demo: $(READY)
	$(BIN)/accompany examples/korobeiniki.mid -o out --candidates 3

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy
	$(PYTEST)

# The tests of properties, on new examples, 30 times as many as `make test` draws.
explore: $(READY)
	$(PYTEST) -m hypothesis --hypothesis-profile=explore

# The site, of README.md, docs/ and docstrings: python -m http.server --directory site shows it.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) $(NEW_ENOUGH) || \
		{ echo "Python 3.11 or newer is needed; if you have one: make PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV): a few minutes the first time"
	$(PYTHON) -m venv $(VENV) || \
		{ echo "Python lacks its venv module; on Debian: apt install python3-venv" >&2; exit 1; }
	@index=; if $(BIN)/python -c 'import urllib.request as r; r.urlopen("$(TORCH_INDEX)/torch/", timeout=10)' \
		2>/dev/null; then index="--extra-index-url $(TORCH_INDEX)"; fi; \
		$(PIP) $$index torch
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

# What the tests of pages need, beside Python: a browser. (Debian and its kin, as root.)
browser:
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -qq -y chromium; }

clean:
	rm -rf $(VENV) out site
