# One command sets everything up and runs the main job (make demo); one runs every check (make test).
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs native nativelint fixtures table nativetable listening bench clean

# uv installs exactly what uv.lock says. Where the machine has none, one is put into .tools/.
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
# Inexact: what another target installed stays, so that going from one to the other costs nothing.
SYNC := $(UV) sync --locked --quiet --inexact --extra pocket-tts --extra fast --extra tts
RUN := $(UV) run --no-sync

# One thread: the subject is repeatable only then, and tests run side by side.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE := 1

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'

setup: $(filter .tools/bin/uv,$(UV))  ## install what the demo needs
	@echo "setting up the environment (a few GB and some minutes the first time, a second afterwards)"
	@$(SYNC)

demo: setup fixtures  ## capture Pocket TTS and its reimplementation, and say where they differ
	@$(RUN) parity run --config fixtures/pocket_tts/parity.toml

fixtures: setup  ## build the seeded subject (once: weights, tokenizer, voices), and check it
	@$(RUN) python -m fixtures.pocket_tts build --size full

test: $(filter .tools/bin/uv,$(UV))  ## set up, then lint, types, import layers and all tests
	@echo "setting up the environment (a few GB and some minutes the first time, a second afterwards)"
	@$(SYNC) --extra whisper --extra coreml --extra onnx --extra mlx --group dev
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory native
	@$(MAKE) --no-print-directory nativelint
	$(RUN) pytest -n 2

# Cargo reads .cargo/config.toml of the folder it runs in: what it builds goes into .cache/native.
native:  ## build and test the Rust crates, where cargo exists
	@if ! command -v cargo >/dev/null; then echo "no cargo: the Rust crates are neither built nor tested (https://rustup.rs)"; exit 0; fi; \
	cd adapters/native && \
	cargo build --release --locked --package pocket-tts-candle --features faults && \
	cargo test --release --locked --workspace --features pocket-tts-candle/faults,parity-candidate/ndarray,parity-candidate/half

nativelint:  ## style of the Rust crates, with every feature and with none, where cargo has clippy and rustfmt
	@if ! cargo clippy --version >/dev/null 2>&1 || ! cargo fmt --version >/dev/null 2>&1; then \
	echo "no clippy or no rustfmt: the style of the Rust crates is not checked (rustup component add clippy rustfmt)"; exit 0; fi; \
	cd adapters/native && cargo fmt --check && for features in all-features no-default-features; do \
	cargo clippy --release --locked --workspace --all-targets --$$features -- -D warnings || exit 1; done

lint:  ## style, types and import layers
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports

docs: setup fixtures  ## build the site into build/site, notebooks run
	@$(SYNC) --group docs
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build

table: setup fixtures  ## the reimplementation against the real package, every case: docs/pocket_tts.md
	$(RUN) python -m benchmarks.pocket_tts

listening: setup  ## plant faults in speech, and write down which layer hears them: docs/listening.md
	$(RUN) python -m benchmarks.audio

nativetable: setup fixtures native  ## the Rust port against the real package, eight voices: docs/native.md
	$(RUN) python -m benchmarks.pocket_tts --port candle

bench: $(filter .tools/bin/uv,$(UV))  ## time capture and diff beside what else there is
	$(SYNC) --group bench --group test
	$(RUN) python -m benchmarks.diff
	$(RUN) python -m benchmarks.capture

clean:  ## remove the environment, captures and built fixtures
	rm -rf .venv .tools .cache .parity build dist
