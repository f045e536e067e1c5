# make run   set up what is missing and start the app on http://127.0.0.1:7860 (HOST, PORT)
# make test  the same, development packages and a browser, then every check
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
# uv knows where PyTorch keeps its CPU wheels, a tenth of the size; the plain version is used where that is out of reach.
UV := 0.13.9
TORCH := $(shell sed -n 's/^torch==//p' requirements-embedding.txt)

.PHONY: run setup test setup-dev browser lint types pytest clean

run: setup
	$(VENV)/bin/python app.py

setup: $(VENV)/.runtime $(VENV)/.weights

setup-dev: setup $(VENV)/.development browser

test: setup-dev lint types bandit pytest

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@command -v c++ >/dev/null || { echo "A C++ compiler is needed, e.g.: dnf install gcc-c++ or apt install g++"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt requirements-embedding.txt | $(VENV)/bin/python
	@$(VENV)/bin/python -c 'import torch' 2>/dev/null || \
	  { $(PIP) install --quiet uv==$(UV) && UV_HTTP_RETRIES=1 UV_HTTP_TIMEOUT=30 \
	    $(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --torch-backend=cpu --no-deps torch==$(TORCH) 2>/dev/null; } || \
	  $(PIP) install --quiet --no-deps torch==$(TORCH)
	$(PIP) install --quiet -r requirements-embedding.txt
	$(PIP) check
	@touch $@

$(VENV)/.weights: model/catalogue/models.toml model/catalogue/models.lock $(VENV)/.runtime
	$(VENV)/bin/python -m model fetch smollm2-135m
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	$(PIP) install --quiet -r requirements-dev.txt
	$(PIP) check
	@touch $@

# Debian's browser, where none is found; elsewhere install Chromium by hand and set CHROMIUM to its path.
browser:
	@test -n "$$CHROMIUM" || { command -v chromium || command -v chromium-browser; } >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq chromium; }

lint: $(VENV)/.development
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.development
	$(VENV)/bin/mypy

pytest: setup-dev
	$(VENV)/bin/python -m pytest

clean:
	rm -rf $(VENV) .data .pytest_cache .mypy_cache .ruff_cache

include .github/ci.mk
