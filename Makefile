# Ephemeris: what one types. `make run` and `make test` install what they miss (Debian).

CARGO ?= cargo
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
# One profile for everything, so that RocksDB is compiled once (about ten minutes on two cores).
PROFILE = --release

.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: build ## Build and serve on localhost:9090 (ARGS="--listen …" for flags)
	exec $(TARGET_DIR)/release/ephemeris serve $(ARGS)

build: build-deps ## Build the release binaries
	$(CARGO) build $(PROFILE) --locked

# Property tests try the same cases each time, so that a change is judged by what it changes;
# `make explore` looks for new ones.
test: export PROPTEST_RNG_SEED ?= 1
test: build test-clients ## All tests; with ../shared present the conformance scripts too
	$(CARGO) test $(PROFILE) --locked --workspace --no-fail-fast

explore: build ## Property tests with other cases each time (PROPTEST_CASES=n)
	PROPTEST_CASES=$(or $(PROPTEST_CASES),5000) $(CARGO) test $(PROFILE) --locked --workspace --no-fail-fast

check: fmt clippy doc test ## What CI runs

fmt: ## Formatting, checked
	$(CARGO) fmt --all --check

clippy: build-deps ## Lints, warnings denied
	$(CARGO) clippy $(PROFILE) --locked --workspace --all-targets -- -D warnings

doc: build-deps ## Documentation builds without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(PROFILE) --locked --workspace --no-deps --document-private-items

bench: build ## Ephemeris beside its peers (SCENARIO=steady PROTOCOL=rw1 SCALE=1 RUNS=3 ARGS="--markdown FILE …")
	@benches/install-peers
	$(TARGET_DIR)/release/ephemeris-benches side-by-side --scenario $(or $(SCENARIO),steady) \
		--protocol $(or $(PROTOCOL),rw1) --scale $(or $(SCALE),1) --runs $(or $(RUNS),3) $(ARGS)

quick: build ## Ingest 100,000 series x 60 scrapes through HTTP and report
	$(TARGET_DIR)/release/ephemeris-benches quick

bench-logs: build ## Push 1,000,000 log lines, ask about them, report (LINES=dir, COUNT=n)
	$(TARGET_DIR)/release/ephemeris-benches logs $(if $(LINES),--lines $(LINES)) \
		--lines-count $(or $(COUNT),1000000)

bench-bombs: build ## Bodies larger than they look: each refused in 100 ms, within the limit of memory
	$(TARGET_DIR)/release/ephemeris-benches bombs

bench-protocols: build ## The same samples by each protocol: CPU of the server for a sample
	$(TARGET_DIR)/release/ephemeris-benches protocols --series 20000 --scrapes 100

bench-scale: build ## Very many active series: memory, rates, restart, a regex (SERIES=n)
	$(TARGET_DIR)/release/ephemeris-benches scale --series $(or $(SERIES),10000000)

bench-cardinality: build ## How cost grows from 10,000 to 10,000,000 series, beside peers (ARGS="--series … --svg FILE")
	@benches/install-peers
	$(TARGET_DIR)/release/ephemeris-benches cardinality $(ARGS)

bench-codecs: build ## Bytes and speed of each codec on each kind of series (ELEMENTS=file.csv.zst)
	$(TARGET_DIR)/release/ephemeris-benches codecs $(if $(ELEMENTS),--elements $(ELEMENTS))

bench-hostile: build ## Queries of death beside a light query: each ends in time, and that one stays light
	$(TARGET_DIR)/release/ephemeris-benches hostile

bench-refresh: build ## A dashboard that refreshes, with answers kept and computed anew; queries of one series
	$(TARGET_DIR)/release/ephemeris-benches refresh

bench-operators: build-deps ## Criterion: decoders, codecs, writes, selections, each operator (FILTER=name)
	$(CARGO) bench --profile release --locked --workspace --bench ways_in --bench storage --bench operators -- $(FILTER)

bench-churn: build ## A million new series a minute (MINUTES=n)
	$(TARGET_DIR)/release/ephemeris-benches churn --per-minute 1000000 --minutes $(or $(MINUTES),5)

crash: build ## Kill the server 200 times under load and compare what is left (CYCLES=n)
	$(TARGET_DIR)/release/ephemeris-benches crash --cycles $(or $(CYCLES),200)

power-cut: build ## The same 20 times, dropping what was not synced (CYCLES=n)
	$(TARGET_DIR)/release/ephemeris-benches crash --power-cut --cycles $(or $(CYCLES),20)

flips: build-deps ## Damage data directories at random and ask what is left (COUNT=n)
	EPHEMERIS_FLIPS=$(or $(COUNT),2000) $(CARGO) test $(PROFILE) --locked --workspace --lib -- --nocapture tests::flips

mutations: build-deps ## Hand changed bodies to the decoders of blocks (COUNT=n)
	EPHEMERIS_MUTATIONS=$(or $(COUNT),20000) $(CARGO) test $(PROFILE) --locked --workspace --lib -- bodies_changed

fuzz: ## Fuzz every decoder and parser (SECONDS=n for each, TARGETS="page …")
	@fuzz/run $(or $(SECONDS),600) $(TARGETS)

model: build-deps ## Random operations on the store against a model of plain maps (COUNT=n)
	EPHEMERIS_MODEL_OPERATIONS=$(or $(COUNT),1000000) $(CARGO) test $(PROFILE) --locked --workspace --lib -- tests::long

deny: ## Licences, bans and sources of dependencies (installs cargo-deny)
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check licenses bans sources

build-deps: # RocksDB is C++ and its binding is generated with libclang
	@deploy/build-deps

test-clients: # Prometheus and promtool, as users run them
	@server/tests/clients/install
