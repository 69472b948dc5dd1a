# make train: set up, train on the built-in digits, print what came of it.   make test: set up, lint, all tests.
# make train DEVICE=gpu: with CUDA and cuDNN as Python wheels, in an environment of its own (VENV=.venv-gpu).
# make audit: known holes of the pinned packages; needs the network.
PYTHON ?= python3
VENV ?= .venv$(if $(filter gpu,$(DEVICE)),-gpu)
RUN = $(VENV)/bin
DEVICE ?= cpu

.PHONY: train test lint audit clean

train: $(VENV)/installed
	$(RUN)/simsiam-tf train --config digits

test: $(VENV)/installed-test lint
	$(RUN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed-test
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

# --strict: a package that could not be looked up is a failure. Apart from the tests' packages, which it would change.
audit: $(VENV)/bin/python
	$(RUN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install -q pip-audit==2.10.1
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip -r docker/constraints.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed; name one with make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo 'on Debian and Ubuntu: apt-get install python3-venv'; exit 1; }

$(VENV)/installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(RUN)/python -m pip install -q -r requirements.txt
	$(if $(filter gpu,$(DEVICE)),$(RUN)/python -m pip install -q "$$(sed -n 's/^tensorflow==\([^ ]*\).*/tensorflow[and-cuda]==\1/p' requirements.txt)")
	$(RUN)/python -m pip install -q --no-deps -e .
	@touch $@

$(VENV)/installed-test: requirements-test.txt $(VENV)/installed
	$(RUN)/python -m pip install -q -r requirements-test.txt
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
