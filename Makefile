# The front door. `make help` lists what there is; .ci/run calls the same targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO_HOME ?= $(HOME)/.cargo
# The target is named even though it is the host's own: build scripts and macros then stay dynamic, as they must.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# No libc at run time, and no folder of the building machine in panic messages.
STATIC = -C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=/src \
	--remap-path-prefix=$(CARGO_HOME)=/cargo
# Another version of Kubernetes for the cluster than the default: make e2e KUBERNETES=v1.34.4
VERSION_FLAG = $(if $(KUBERNETES),--kubernetes $(KUBERNETES))
# In a tag's pipeline the tag; else the nearest tag, the distance from it and the commit, with `-dirty` for a changed tree.
BUILD_VERSION = $(or $(VERSION),$(CI_COMMIT_TAG),$(shell git describe --tags --always --dirty --abbrev=12))

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

.PHONY: build
build: ## dist/app: one static, stripped binary, the same to the byte for the same commit
	VERSION='$(BUILD_VERSION)' RUSTFLAGS='$(STATIC)' cargo build --release --locked -p app --target $(HOST)
	install -D -m 755 $(or $(CARGO_TARGET_DIR),target)/$(HOST)/release/app dist/app

.PHONY: test
test: ## Every test that needs nothing but Rust: units, routes in process, the real binary
	# The service by itself: what others ask of the crates that they share would be in its binary, too.
	cargo test --locked -p app
	cargo test --locked --workspace --exclude app

# The features only say which tests there are. With all of them, what is tested is compiled once for the four programs below.
.PHONY: test-engine
test-engine: ## Tests that need a container engine (make doctor DOCTOR_FLAGS=--fix gets one)
	cargo test --locked -p e2e --all-features --test engine

.PHONY: test-browser
test-browser: ## Tests that open the report in chromium; what they saw is in target/browser
	cargo test --locked -p e2e --all-features --test browser

.PHONY: test-cluster
test-cluster: ## Tests against the cluster of `make up`
	# They wait most of the time.
	cargo test --locked -p e2e --all-features --test cluster -- --test-threads 5

.PHONY: test-lifecycle
test-lifecycle: ## Tests that bring clusters up, kill what does, and take them down: a quarter of an hour
	cargo test --locked -p e2e --all-features --test lifecycle -- --test-threads 1

.PHONY: test-versions
test-versions: ## The whole story, with a node of the oldest supported Kubernetes and with one of the newest
	$(MAKE) --no-print-directory e2e KUBERNETES=v1.34.4
	$(MAKE) --no-print-directory e2e KUBERNETES=v1.37.0

.PHONY: soak-kills
soak-kills: ## Ten kills at random moments of the whole story, each followed by a look at what is left: half an hour
	KILLS_WITHIN=$(or $(KILLS_WITHIN),240) cargo test --locked -p e2e --all-features --test lifecycle -- --nocapture ten_kills

# Sanitizers and coverage are nightly's; with this, a stable compiler takes them.
.PHONY: fuzz
fuzz: export RUSTC_BOOTSTRAP = 1
fuzz: ## Anything as a pipeline's file and as an expression, FUZZ_SECONDS=60 each: crates/gitlab-ci/fuzz/README.md
	@cargo fuzz --version >/dev/null 2>&1 || { echo 'make fuzz needs cargo-fuzz and a C++ compiler: cargo install --locked cargo-fuzz@0.13.2' >&2; exit 1; }
	cd crates/gitlab-ci && for target in reader expression; do \
		mkdir -p fuzz/corpus/$$target; \
		cargo fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -dict=fuzz/gitlab-ci.dict \
			-max_total_time=$(or $(FUZZ_SECONDS),60) -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=1024 \
			-verbosity=0 -print_final_stats=1 $(FUZZ_FLAGS); \
	done

.PHONY: lint
lint: ## Format, clippy and docs without a warning
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path crates/gitlab-ci/fuzz/Cargo.toml
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items
	# What is fuzzed, without the library in C++ that it is linked with.
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo check --locked --manifest-path crates/gitlab-ci/fuzz/Cargo.toml --target-dir target

# Aloud, because it takes minutes the first time. What runs after it says only what the harness says.
.PHONY: harness
harness:
	cargo build --locked -p e2e

.PHONY: doctor
doctor: harness ## What the harness needs of this machine, and what there is; DOCTOR_FLAGS=--fix installs it
	cargo run --quiet --locked -p e2e -- doctor $(VERSION_FLAG) $(DOCTOR_FLAGS)

.PHONY: images
images: harness ## The images that the pipeline needs: here already, else pulled, else built
	cargo run --quiet --locked -p e2e -- images $(VERSION_FLAG) $(IMAGES)

.PHONY: up
up: harness ## From a bare machine to a running cluster: what is missing is installed (Debian or Ubuntu, as root), images, cluster
	cargo run --quiet --locked -p e2e -- doctor --fix $(VERSION_FLAG)
	cargo run --quiet --locked -p e2e -- up $(VERSION_FLAG) $(UP_FLAGS)

.PHONY: status
status: harness ## What is up, and the commands by which it is reached
	cargo run --quiet --locked -p e2e -- status

.PHONY: down
down: harness ## Takes away every cluster that `make up` has made, with its registry, network, volumes and files
	cargo run --quiet --locked -p e2e -- down --all

.PHONY: e2e
e2e: harness ## From a bare machine to a proved service: a push, its pipeline, the checks, a tag, a report; E2E_FLAGS=--keep leaves it all
	cargo run --quiet --locked -p e2e -- doctor --fix $(VERSION_FLAG)
	cargo run --quiet --locked -p e2e -- run $(VERSION_FLAG) $(E2E_FLAGS)

.PHONY: schema
schema: ## .gitlab-ci.yml against GitLab's schema, manifests against Kubernetes'
	.ci/schema

.PHONY: deny
deny: ## Licences, sources and duplicates of all dependencies
	cargo deny --workspace check bans licenses sources

.PHONY: promtool
promtool: build ## What Prometheus' own linter says of /metrics
	.ci/promtool

.PHONY: reproducible
reproducible: ## Builds twice, in two folders, and compares
	.ci/reproducible

.PHONY: msrv
msrv: ## Builds and tests the service with Debian 13's compiler
	.ci/msrv

.PHONY: bench-app
bench-app: build ## The service beside its twin in Go: bench/README.md
	cargo run --release --locked -p bench -- app $(BENCH_FLAGS)

.PHONY: bench-up
bench-up: ## A cluster with all around it beside kind's bare one: bench/README.md
	cargo build --locked -p e2e
	cargo run --release --locked -p bench -- up $(BENCH_FLAGS)

.PHONY: bench-pipeline
bench-pipeline: ## Plans and runs beside gitlab-ci-local's: bench/README.md
	# Where it lies in memory is settled when it is linked: half a millisecond less at every start.
	RUSTFLAGS='-C target-feature=+crt-static -C relocation-model=static' \
		cargo build --profile harness --locked -p e2e --target $(HOST) --target-dir target/bench-e2e
	cargo run --release --locked -p bench -- pipeline --e2e target/bench-e2e/$(HOST)/harness/e2e $(BENCH_FLAGS)

.PHONY: picture
picture: build ## docs/first-run.svg, from a real run
	.ci/picture

.PHONY: picture-run
picture-run: ## docs/run.svg, docs/report-light.png, docs/report-dark.png, from a real run of `make e2e`; PICTURES=FOLDER for another place
	mkdir -p target
	$(MAKE) --no-print-directory e2e 2>&1 | tee target/run.log
	.ci/picture-of-a-run target/run.log $(PICTURES)

.PHONY: clean
clean: ## Removes what was built
	cargo clean
	rm -rf dist
