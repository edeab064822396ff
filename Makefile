# speechlm: everything starts here. `make mini` runs the whole recipe, `make test` runs all tests; both set up .venv by themselves.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
JOBS ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: mini test test-slow test-gpu check style options bench env clean help

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make env      the environment in .venv (torch, torchaudio and the rest, pinned)
env: $(READY)

$(READY): setup.py
	@test -n "$(PYTHON)" || { echo "speechlm needs Python 3.10, 3.11 or 3.12 on the PATH (or: make PYTHON=/path/to/python3.11)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip setuptools wheel
	$(PY) -m pip install --quiet --editable '.[test]'
	$(PY) tools/check_install.py
	@touch $@

## make mini     the embedded recipe, stages 0-6, no download: prints the %WER lines and the report's path
mini: $(READY)
	cd egs/mini/asr1 && ./run.sh --stage 0 --stop_stage 6

## make test     all tests
test: $(READY)
	$(PY) -m pytest -n $(JOBS) --dist worksteal

## make test-slow, make test-gpu   the long versions; those that need a CUDA device
test-slow: $(READY)
	$(PY) -m pytest -m slow

test-gpu: $(READY)
	$(PY) -m pytest -m gpu

## make check    ruff, shellcheck, the floor plan
check: style
	$(PY) -m pytest -q test/test_floors.py test/test_options.py

style: $(READY)
	$(PY) -m ruff check speechlm test tools setup.py
	$(VENV)/bin/shellcheck --external-sources --severity=style $$(git ls-files '*.sh' .ci/run | xargs -r ls -d 2>/dev/null)

## make options  every option of every recipe's experiments, checked
options: $(READY)
	$(PY) -m speechlm.bin.main options --all egs

## make bench    speed, each time beside a peer in the same run
bench: $(READY)
	@for b in test/bench/bench_*.py; do echo "== $$b"; $(PY) -m test.bench.$$(basename $$b .py) || exit 1; done

clean:
	rm -rf $(VENV) build *.egg-info
