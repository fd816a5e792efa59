# Each target is a line. The first call makes VENV, later calls use it as it is.
# PYTHON=python3.12 chooses the interpreter of a new VENV; VENV=.venv312 keeps another one beside the first.
VENV = .venv
EXTRAS = dev,plot,cluster,sql
NAME =
ARGS =
A =
B =
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

unexport PYTHONPATH PYTHONHOME

.PHONY: help experiment compare test lint format bench dist constraints clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

experiment: $(STAMP) ## run one: make experiment NAME=vanishing ARGS="--cell lstm --hidden 32,64"
	@$(BIN)/sandbox $(if $(NAME),run $(NAME) $(ARGS),list; exit 2)

compare: $(STAMP) ## compare two runs: make compare A=vanishing@-2 B=vanishing ARGS="--fail-if 'loss > +5%'"
	@$(BIN)/sandbox compare $(A) $(B) $(ARGS)

test: $(STAMP) ## run the test suite; ARGS="-k gru" goes to pytest
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) ## check style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(STAMP) ## repair what lint complains about, as far as a tool can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(STAMP) ## time the kernels: make bench NAME=gemm
	@$(BIN)/sandbox bench $(or $(NAME),gemm) $(ARGS)

dist: $(STAMP) ## build the sdist and the wheel into dist/
	@$(BIN)/python -m build

constraints: ## pin the newest versions in constraints.txt, resolved on the oldest Python supported
	@$(or $(PYTHON),python3.11) tools/renew_constraints.py

clean: ## remove the environment, builds and caches; results stay
	@rm -rf $(VENV) $(VENV).lock build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
	@find sandbox experiments tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp holds the folder's path: an environment that was copied or moved along with the folder is made anew.
ifneq "$(CURDIR)" "$(shell cat $(STAMP) 2>/dev/null)"
.PHONY: $(STAMP)
endif
$(STAMP): Makefile setup.cfg setup.py pyproject.toml constraints.txt
	@sh tools/setup_venv.sh $@ $(EXTRAS) $^
