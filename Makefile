# Everything runs in virtual environments made here from setup.cfg; none need be active.
#   make train PYTHON=python3.12 ARGS="--epochs 3"

PYTHON ?= python3
ARGS ?=
# The extra of setup.cfg that fits the GPU's driver.
CUDA ?= cuda13x
# Of `make mutants`: how many; which, a random draw if it is empty.
COUNT ?= 120
SEED ?=

VENV := .venv
# A second environment, so that `make test` proves that the library does without torch.
VENV_TORCH := .venv-torch
# A third one, with MPI.
VENV_MPI := .venv-mpi
# A fourth one, of a Python that any user of the machine can run.
VENV_SYSTEM := .venv-system

.DEFAULT_GOAL := help
# An interrupted installation must not leave a half-made environment that looks whole.
.DELETE_ON_ERROR:
.PHONY: help train test test-first-half test-second-half coverage test-slow test-emulated test-gpu test-torch test-mpi test-grader fuzz bad-input mutants lint package bench docs coursework-release clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'Variables: PYTHON=python3.12 (the interpreter to start from), ARGS="..." (passed on), CUDA=cuda12x (test-gpu), COUNT=120 SEED=1 (mutants)'

train: $(VENV)/.installed-examples  ## train the MNIST example
	$(VENV)/bin/python examples/train_mnist.py $(ARGS)

QUICK := -m 'not (slow or gpu or torch)'
SECOND_HALF := tests/commands tests/coursework tests/examples

# Two halves at a time, on two cores; what the second says comes last.
test: $(VENV)/.installed-test  ## run the tests, and those of the GPU on an emulator
ifeq ($(ARGS),)
	@$(MAKE) --no-print-directory --jobs=2 test-first-half test-second-half; status=$$?; \
	cat $(VENV)/second.log; exit $$status
else
	$(VENV)/bin/python -m pytest $(QUICK) $(ARGS)
endif

test-first-half:
	@$(VENV)/bin/python -m pytest $(QUICK) $(SECOND_HALF:%=--ignore=%)

# pytest gives 2 after Ctrl-C.
test-second-half:
	@{ $(VENV)/bin/python -m pytest $(QUICK) $(SECOND_HALF); status=$$?; \
	[ $$status = 2 ] || $(MAKE) --no-print-directory test-emulated || status=1; exit $$status; } > $(VENV)/second.log 2>&1

# The second run adds to the coverage of the first, which has no GPU.
coverage: $(VENV)/.installed-test  ## the same, and print how much of the package they run
	$(VENV)/bin/python -m pytest $(QUICK) --cov=tinycnn --cov-report=
	@$(MAKE) --no-print-directory test-emulated ARGS='--cov=tinycnn --cov-append --cov-report=term'

test-slow: $(VENV)/.installed-test  ## run what `make test` leaves out: every CUDA source, the browser, every moment of a kill
	$(VENV)/bin/python -m pytest -m 'slow and not gpu' $(ARGS)
	TINYCNN_EMULATE_GPU=1 $(VENV)/bin/python -m pytest -m 'slow and gpu' $(ARGS)

# The emulator compiles the CUDA sources for the CPU, with g++. CI has to have it.
test-emulated: $(VENV)/.installed-test  ## run the tests of the GPU on a machine without one
	@if command -v g++ > /dev/null; then \
	  echo "The tests of the GPU, on an emulator:"; \
	  TINYCNN_EMULATE_GPU=1 $(VENV)/bin/python -m pytest -m 'gpu and not slow' $(ARGS); \
	else \
	  echo "The tests of the GPU are left out: the emulator needs g++"; test "$$CI" != true; \
	fi

test-gpu: $(VENV)/.installed-test,$(CUDA)  ## the same on a real GPU
	$(VENV)/bin/python -m pytest -m gpu $(ARGS)

test-torch: $(VENV_TORCH)/.installed-test,torch,interop  ## the same tests with the live comparisons with PyTorch and ONNX
	$(VENV_TORCH)/bin/python -m pytest $(ARGS)

# Skipped by `make test`, whose environment has no mpi4py.
test-mpi: $(VENV_MPI)/.installed-test,mpi  ## run the tests of several processes, on a real MPI
	$(VENV_MPI)/bin/python -m pytest tests/distributed $(ARGS)

# As root, the grader runs exercises as another user, if that one can read Python: in /root it cannot.
test-grader: PYTHON := /usr/bin/python3
test-grader: $(VENV_SYSTEM)/.installed-test  ## run hostile submissions through the released archive, for root: as another user
	$(VENV_SYSTEM)/bin/python -m pytest tests/coursework/test_student.py tests/coursework/test_archive.py $(ARGS)

fuzz: $(VENV_TORCH)/.installed-test,torch,interop  ## run 1,000 random programs and compare with PyTorch (ARGS="--help")
	$(VENV_TORCH)/bin/python -m tests.fuzz $(ARGS)

lint: $(VENV)/.installed-dev  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bad-input: $(VENV_TORCH)/.installed-test,torch,interop  ## spoil each argument of each public call and count what comes (ARGS="--help")
	$(VENV_TORCH)/bin/python -m tests.bad_input $(ARGS)

mutants: $(VENV)/.installed-mutation  ## count the random mutants of the core that the tests kill (an hour)
	$(VENV)/bin/python tools/mutants.py --count $(COUNT) $(if $(SEED),--seed $(SEED)) $(ARGS)

package: $(VENV)/.installed-dev  ## build the wheel and the source archive in dist/
	$(VENV)/bin/python -m build

bench: $(VENV_TORCH)/.installed-test,torch,interop  ## run the benchmarks, with the ratios to PyTorch
	$(VENV_TORCH)/bin/python benchmarks/run.py $(ARGS)

docs: $(VENV)/.installed-test  ## write docs/coming-from-pytorch.md from the table of idioms
	$(VENV)/bin/python tools/coming_from_pytorch.py $(ARGS)

coursework-release:  ## the zips of the exercises, for students, Gradescope, GitHub and Otter-Grader
	$(PYTHON) tools/coursework_release.py $(ARGS)

clean:  ## remove the environments, caches and build output (downloaded data stays)
	rm -rf $(ENVIRONMENTS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

ENVIRONMENTS := $(VENV) $(VENV_TORCH) $(VENV_MPI) $(VENV_SYSTEM)

# An environment's stamp .installed-EXTRAS is newer than setup.cfg when `pip install -e .[EXTRAS]` has been done.
define stamp
$(1)/.installed-%: setup.cfg pyproject.toml | $(1)/bin/python
	$(1)/bin/python -m pip install --quiet --editable '.[$$*]'
	@touch $$@
endef
$(foreach environment,$(ENVIRONMENTS),$(eval $(call stamp,$(environment))))

$(ENVIRONMENTS:=/bin/python):
	@command -v $(PYTHON) >/dev/null \
	  || { echo 'error: $(PYTHON) not found; name a Python 3.11 or newer: make PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: tinycnn needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1);" \
	            'name another one: make PYTHON=python3.11'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo 'error: $(PYTHON) cannot make virtual environments; install its venv module' \
	            '(Debian, Ubuntu: apt install python3-venv)'; exit 1; }
	$(PYTHON) -m venv --clear $(@D:/bin=)
