# `make demo` and `make test` do their whole set-up themselves; a second call installs nothing.
#
#   make demo                            train, evaluate, separate and report a small network into runs/demo
#   make test                            style check and all tests
#   make test PYTHON=python3.12          the same with another Python, in its own environment .venv-python3.12
#   make test TESTS=tests/test_stft.py PYTEST_ARGS="-x -k round"
#   make clean                           remove environments, caches and runs/demo; other runs stay

PYTHON ?= python3
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(lastword $(subst /, ,$(PYTHON))))
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check install --quiet -c constraints.txt
STAMP := $(VENV)/installed.txt
DEMO := runs/demo
TESTS ?= tests
PYTEST_ARGS ?=
# More than the two processors of a small machine: many tests wait for a disk or for another process.
NUM_WORKERS ?= 3

# TensorFlow greets every process with lines about CPU features and oneDNN (which reading records does not need).
# Warnings and errors still show.
export TF_CPP_MIN_LOG_LEVEL ?= 2
export TF_ENABLE_ONEDNN_OPTS ?= 0

.PHONY: help demo test venv venv-path clean

help:
	@sed -n 's/^#   //p' Makefile

demo: venv
	@$(RUN) -m experiments.demo --workdir=$(DEMO)

test: venv
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pytest -n $(NUM_WORKERS) --dist=loadfile --timeout=600 $(PYTEST_ARGS) $(TESTS)

# The stamp holds the Python version and the hash of the files that say what to install, and is written last: a changed
# file or an interrupted installation starts from an empty environment. The project itself is installed in place, for its
# console commands and for scripts that lie elsewhere.
venv:
	@key=$$("$(PYTHON)" -c 'import hashlib, pathlib, sys; \
	    names = ("requirements.txt", "constraints.txt", "pyproject.toml"); \
	    files = [pathlib.Path(name).read_bytes() for name in names]; \
	    print("python-%d.%d" % sys.version_info[:2], hashlib.sha256(b"".join(files)).hexdigest()); \
	    sys.exit(3 * (sys.version_info < (3, 11)))'); status=$$?; \
	if [ $$status -eq 3 ]; then \
	    echo "cerberus_jax needs Python 3.11 or newer; $(PYTHON) is $${key%% *}. Name another: make PYTHON=python3.12" >&2; exit 1; \
	elif [ $$status -ne 0 ]; then \
	    echo "$(PYTHON) does not run. Name a Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if [ "$$(cat $(STAMP) 2>/dev/null)" != "$$key" ]; then \
	    if [ -L "$(VENV)" ]; then \
	        echo "$(VENV) is a link: installing would empty the folder that it leads to. Remove the link first" >&2; exit 1; \
	    fi; \
	    echo "Installing into $(VENV): about 2.5 GB, a minute or more"; \
	    rm -f $(STAMP) && \
	    "$(PYTHON)" -m venv --clear $(VENV) && \
	    $(PIP) -r requirements.txt && \
	    $(PIP) --no-deps tinysoundfont && \
	    $(PIP) --no-deps --editable . && \
	    echo "$$key" > $(STAMP); \
	fi

venv-path:
	@echo $(VENV)

clean:
	rm -rf .venv .venv-* .pytest_cache .ruff_cache .hypothesis dist $(DEMO)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
