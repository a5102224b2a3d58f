# The commands of the house. Each installs what it needs; `make` alone lists them.
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Programs that are built already take the place of building them: WATCHFIRE_BIN=/usr/bin/watchfire, SIMULATE_BIN=….
BINARY := $(or $(WATCHFIRE_BIN),$(TARGET)/release/watchfire)
SIMULATE := $(or $(SIMULATE_BIN),$(TARGET)/release/simulate)
DEBUG_BINARY := $(TARGET)/debug/watchfire
UI_SOURCES := $(shell find ui/src ui/public ui/build ui/index.html ui/package.json ui/package-lock.json ui/*.config.* ui/tsconfig*.json -type f 2>/dev/null)
# Only the real build of the page writes this file; `cargo build` alone leaves a placeholder.
PAGE := ui/dist/third-party-notices.txt

.PHONY: help build run test conformance crash bench bench-metrics bench-logs bench-traces bench-stack bench-store bench-tokens bench-probes ui-test setup setup-test lint tidy
help:
	@echo "make build   page and release binary at $(BINARY)"
	@echo "make run     build, start with defaults, print the address (ARGS=... for flags)"
	@echo "make demo    a small real pipeline that reports to the server, or to one of its own (ARGS=... for flags)"
	@echo "make demo-test  the same for ten minutes, its books and metrics checked (MINUTES=10)"
	@echo "make simulate  one of the three systems as small programs, and a server that watches it (SYSTEM=vms, pisovereign, hsi)"
	@echo "make simulate-test  every alert of the packs caused and mended in those, as a table"
	@echo "make test    everything that is tested, with the real peers"
	@echo "make conformance  every PromQL script in memory, on the store and over HTTP, as a table"
	@echo "make seeds   every command and query of the documents that this replaces, as a table (WATCHFIRE_SEEDS)"
	@echo "make crash   thousands of kill -9 and power cuts, the long forms (KILLS=2000, CUTS=500, QUEUE_KILLS=500, REDIS_KILLS=100)"
	@echo "make fuzz    every reader of foreign bytes under libFuzzer (SECONDS=30 each)"
	@echo "make bench   figures against peers, as tables (bench-metrics, bench-logs, bench-traces, bench-stack, bench-store, bench-tokens, bench-probes; MINUTES=10)"
	@echo "make ui-test the page alone, in Chromium"
	@echo "make screenshots  the pictures of the documents, made anew"
	@echo "make order   which functions lie beside each other in the program, found anew (valgrind)"
	@echo "make ui-bench what the page costs: weight, time, memory"
	@echo "WATCHFIRE_BIN=PROGRAM and SIMULATE_BIN=PROGRAM: what is built already is not built"

setup:
	@scripts/setup.sh build
setup-test:
	@scripts/setup.sh test

ui/node_modules/.installed: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.installed
$(PAGE): ui/node_modules/.installed $(UI_SOURCES)
	cd ui && npm run --silent build

ifdef WATCHFIRE_BIN
build:
else
build: setup $(PAGE)
	cargo build --release --locked -p watchfire
endif
.PHONY: simulators
ifdef SIMULATE_BIN
simulators:
else
simulators:
	cargo build --release --locked -p simulators
endif

run: build
	$(BINARY) serve $(ARGS)

# It needs ffmpeg, which the set-up for tests installs.
demo: setup-demo build
	$(BINARY) demo $(ARGS)
demo-test: setup-demo $(PAGE)
	WATCHFIRE_DEMO_MINUTES=$(or $(MINUTES),10) cargo test --locked -p watchfire --test process -- --nocapture the_demo_fills
setup-demo:
	@scripts/setup.sh demo
.PHONY: demo demo-test setup-demo

# Faults are caused by POST to its address of control (docs/guides/simulators.md).
simulate: setup-demo build simulators
	$(SIMULATE) $(or $(SYSTEM),vms) --watchfire "$(abspath $(BINARY))" --listen 127.0.0.1:8000 $(ARGS)
simulate-test: setup-demo
	$(if $(WATCHFIRE_BIN),,cargo build --locked -p watchfire)
	WATCHFIRE_SIMULATE_LONG=1 cargo test --locked -p simulators --test alerts -- --nocapture
.PHONY: simulate simulate-test

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Each canary is a store that is wrong on purpose; the tests that have to catch it fail if they do not.
test: setup-test $(PAGE) lint
	scripts/test.sh --workspace --locked
	$(MAKE) --no-print-directory canary
	$(MAKE) --no-print-directory ui-test
.PHONY: canary
canary:
	cargo test --locked -p watchfire-store --features canary-ack-before-write --lib --test crash -- crashes r01 r02_death_and
	cargo test --locked -p watchfire-store --features canary-forgetful-recovery --lib --test crash -- crashes r01 r03_power
	cargo test --locked -p watchfire-store --features canary-nofsync --lib --test crash -- crashes r04 r03_power
	cargo test --locked -p watchfire-store --features canary-ignores-errors --test crash
	cargo test --locked -p watchfire-store --features canary-forgets-lines --lib --test crash -- logs::crashes r01

ui-test: $(PAGE)
	cargo build --locked -p watchfire
	cd ui && WATCHFIRE_BIN="$(abspath $(DEBUG_BINARY))" npm test --silent

# The documents' commands and queries, where their tables are at hand (WATCHFIRE_SEEDS).
seeds: setup-test build simulators
	WATCHFIRE_BIN="$(abspath $(BINARY))" SIMULATE_BIN="$(abspath $(SIMULATE))" scripts/seeds.py
.PHONY: seeds

# The documents' pictures, made anew in Chromium; 128 colours are enough for them.
screenshots: setup-test $(PAGE)
	cd ui && SCREENSHOTS=1 npx vitest run --project browser tests/shots.test.ts
	for picture in docs/screenshots/*.png; do ffmpeg -v error -y -i $$picture -vf "split[a][b];[a]palettegen=max_colors=128:stats_mode=full[p];[b][p]paletteuse=dither=none" $$picture.few.png && mv $$picture.few.png $$picture; done
.PHONY: screenshots

# What the page costs in Chromium; takes some minutes.
ui-bench: setup-test
	cd ui && npm run bench --silent
.PHONY: ui-bench

# Which functions lie beside each other in the program; before a release (docs/decisions/0037).
order: $(PAGE)
	scripts/order.sh
.PHONY: order

conformance: setup
	cargo build --locked -p watchfire -p watchfire-conformance
	$(TARGET)/debug/watchfire-conformance $(DEBUG_BINARY)

crash: setup
	WATCHFIRE_CRASH_LONG=1 cargo test --release --locked -p watchfire-store --lib -- --nocapture crashes clocks r06 r07
	WATCHFIRE_CRASH_LONG=1 cargo test --release --locked -p watchfire-alert --lib -- --nocapture manager::simulation::r59
	WATCHFIRE_CRASH_LONG=1 cargo test --release --locked -p watchfire --test process -- --nocapture alertmanager::r59
	WATCHFIRE_CRASH_KILLS=$(or $(QUEUE_KILLS),500) cargo test --release --locked -p watchfire --test process -- --nocapture queues::crash
	WATCHFIRE_CRASH_KILLS=$(or $(REDIS_KILLS),100) cargo test --release --locked -p watchfire-pipeline --lib -- --nocapture queue::tests::crash
	WATCHFIRE_CRASH_KILLS=$(or $(KILLS),2000) WATCHFIRE_CRASH_CUTS=$(or $(CUTS),500) WATCHFIRE_CRASH_CALL_STRIDE=1 WATCHFIRE_CRASH_BUDGET_MINUTES=1440 cargo test --release --locked -p watchfire-store --test crash -- --nocapture

# SECONDS per target; TARGETS="promql log_record" for some of them.
fuzz: setup
	scripts/fuzz.sh $(or $(SECONDS),30) $(TARGETS)
.PHONY: fuzz

bench: bench-metrics bench-logs bench-traces bench-stack bench-store bench-tokens bench-gateway bench-probes
# SERIES=10000 (100000, 1000000), HOURS=24, ARGS: `bench-metrics run --help` lists them. With 24 hours it takes about ten minutes.
bench-metrics: build
	@scripts/setup.sh bench
	cargo build --release --locked -p bench-metrics
	$(TARGET)/release/bench-metrics run --watchfire "$(BINARY)" --dir "$(TARGET)/bench-metrics" --series $(or $(SERIES),10000) --hours $(or $(HOURS),24) $(ARGS)
# MEGABYTES=1000, STREAMS=1000000, RATE=10 (MB a second, RATE_SECONDS=300; left out by default), ARGS: `bench-logs --help` lists them. VictoriaLogs and Loki where they are installed.
bench-logs: build
	cargo build --release --locked -p bench-logs
	$(TARGET)/release/bench-logs --watchfire "$(BINARY)" --dir "$(TARGET)/bench-logs" --megabytes $(or $(MEGABYTES),1000) --streams $(or $(STREAMS),1000000) --rate $(or $(RATE),0) --rate-seconds $(or $(RATE_SECONDS),300) $(ARGS)
# TRACES=100000, ARGS: `bench-traces --help` lists them.
bench-traces: build
	cargo build --release --locked -p bench-traces
	$(TARGET)/release/bench-traces --watchfire "$(BINARY)" --dir "$(TARGET)/bench-traces" --traces $(or $(TRACES),100000) $(ARGS)
# What the gateway adds to a model call, against a stub on this machine.
bench-gateway: build
	cargo run --release --locked -q -p watchfire-pipeline --example gateway_bench -- "$(abspath $(BINARY))"
.PHONY: bench-gateway
bench-store: setup
	cargo run --release --locked -p watchfire-store --example store_bench
# Against tiktoken for Python, in a virtual environment beside the build; without Python our own figures alone.
bench-tokens: setup
	cargo build --release --locked -p watchfire-tokens --example tokens_bench
	bench/tokens/run.sh "$(TARGET)"
# TARGETS=1000, INTERVAL=15s, MINUTES=5.
bench-probes: setup-test build
	bench/probes.sh "$(BINARY)" $(or $(MINUTES),5)
bench-stack: setup-test build
	cargo build --release --locked -p watchfire-store --example fill
	bench/stack.sh "$(BINARY)" $(or $(MINUTES),10)
	bench/jobs.py "$(BINARY)" $(or $(MINUTES),10)
