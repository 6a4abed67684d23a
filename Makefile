# The entry point: `make help` lists the targets. .ci/run calls the same targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO_HOME ?= $(HOME)/.cargo
# The build names a target, although it is the host: cargo then applies RUSTFLAGS to the target only, and build scripts and macros stay
# dynamically linked, as they must be.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# No libc at run time, and no directory of the build machine in panic messages.
STATIC = -C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=/src \
	--remap-path-prefix=$(CARGO_HOME)=/cargo
# The Kubernetes version of the cluster, if not the default: make e2e KUBERNETES=v1.34.4
VERSION_FLAG = $(if $(KUBERNETES),--kubernetes $(KUBERNETES))
# The tag in a tag's pipeline; otherwise the nearest tag, the distance from it and the commit, with `-dirty` for a modified tree.
BUILD_VERSION = $(or $(VERSION),$(CI_COMMIT_TAG),$(shell git describe --tags --always --dirty --abbrev=12))

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

.PHONY: build
build: ## Build dist/app: one static, stripped binary, byte-identical for the same commit
	VERSION='$(BUILD_VERSION)' RUSTFLAGS='$(STATIC)' cargo build --release --locked -p app --target $(HOST)
	install -D -m 755 $(or $(CARGO_TARGET_DIR),target)/$(HOST)/release/app dist/app

.PHONY: test
test: ## Run every test that needs no engine, cluster or browser: unit tests, routes in process, the real binary
	# The service is tested separately. Otherwise cargo would enable the features of shared crates that other packages need.
	cargo test --locked -p app
	# The library is tested separately, too: nothing in it may need the features that the tests of other crates enable.
	cargo test --locked -p gitlab-ci
	# The harness is tested last, so that the targets below need not compile it again.
	cargo test --locked --workspace --exclude app --exclude gitlab-ci --exclude e2e
	cargo test --locked -p e2e

.PHONY: test-ruby
test-ruby: ## Compare YAML, path patterns and durations with Ruby's libraries, on CASES=5000 random inputs each
	cargo test --locked -p gitlab-ci --test ruby

.PHONY: test-engine
test-engine: ## Run the tests that need a container engine (make doctor DOCTOR_FLAGS=--fix installs one)
	cargo test --locked -p e2e --test engine

.PHONY: test-browser
test-browser: ## Run the tests that open the report in chromium; the screenshots are in target/browser
	cargo test --locked -p e2e --test browser

# The tests that take a write lock, because no other test may use the cluster at the same time. They run last: in alphabetical order, each
# would wait for all running tests, and all later tests would wait for it.
EXCLUSIVE = shared:: policies:: restart:: stop:: course::a_new_kind_of_object

.PHONY: test-cluster
test-cluster: ## Run the tests against the cluster of `make up`
	failed=0; \
	$(MAKE) --no-print-directory test-cluster-parallel || failed=$$?; \
	$(MAKE) --no-print-directory test-cluster-exclusive || failed=$$?; \
	exit $$failed

.PHONY: test-cluster-parallel
test-cluster-parallel:
	# The saboteurs record their rows here; .ci/matrix compares them with docs/saboteurs.md.
	rm -rf target/e2e/saboteurs
	# More threads than cores, because these tests often wait; with more, a machine with two cores is too busy for some time limits.
	cargo test --locked -p e2e --test cluster -- --test-threads 4 $(EXCLUSIVE:%=--skip %)

.PHONY: test-cluster-exclusive
test-cluster-exclusive:
	cargo test --locked -p e2e --test cluster -- --test-threads 2 $(EXCLUSIVE)

.PHONY: test-variants
test-variants: ## Run the tests that CI leaves out, mostly variants of others; needs the cluster of `make up`
	cargo test --locked -p e2e --test cluster -- --test-threads 4 --ignored
	cargo test --locked -p e2e --test lifecycle -- --test-threads 1 --ignored

.PHONY: test-lifecycle
test-lifecycle: ## Run the tests that create clusters, kill the harness and clean up: 10 minutes
	cargo test --locked -p e2e --test lifecycle -- --test-threads 1

.PHONY: test-versions
test-versions: ## Run `make e2e` with the oldest supported version of Kubernetes and with the newest
	$(MAKE) --no-print-directory e2e KUBERNETES=v1.34.4
	$(MAKE) --no-print-directory e2e KUBERNETES=v1.37.0

.PHONY: soak-kills
soak-kills: ## Kill `e2e run` ten times at random moments and check each time that nothing is left: 30 minutes
	KILLS=10 KILLS_WITHIN=$(or $(KILLS_WITHIN),240) cargo test --locked -p e2e --test lifecycle -- --nocapture kills_leave_nothing

.PHONY: soak-mutations
soak-mutations: ## Deploy twenty manifests, each with a random change; if no check fails, verify every claim by other means: 25 minutes
	MUTATIONS=$(or $(MUTATIONS),20) MUTATION_SEED=$(or $(MUTATION_SEED),$$RANDOM) \
		cargo test --locked -p e2e --test cluster -- --nocapture --ignored a_random_change

.PHONY: soak-jobs
soak-jobs: ## Run a pipeline of 200 jobs in pods, and check that nothing is left: 10 minutes
	JOBS=$(or $(JOBS),200) cargo test --locked -p e2e --test cluster -- --nocapture many_jobs

# Sanitizers and coverage are nightly features; this variable enables them in a stable compiler.
.PHONY: fuzz
fuzz: export RUSTC_BOOTSTRAP = 1
fuzz: ## Fuzz readers, masker, archives and reports, FUZZ_SECONDS=60 each: crates/gitlab-ci/fuzz/README.md
	@cargo fuzz --version >/dev/null 2>&1 || { echo 'make fuzz needs cargo-fuzz and a C++ compiler: cargo install --locked cargo-fuzz@0.13.2' >&2; exit 1; }
	for target in $(or $(FUZZ_TARGETS),gitlab-ci/reader gitlab-ci/expression gitlab-runner/masker gitlab-runner/archive gitlab-runner/reports); do \
		name=$${target#*/}; \
		( cd crates/$${target%/*} && mkdir -p fuzz/corpus/$$name && \
			cargo fuzz run --target-dir $(CURDIR)/target/fuzz $$name fuzz/corpus/$$name fuzz/seeds/$$name -- \
			-dict=$(CURDIR)/crates/gitlab-ci/fuzz/gitlab-ci.dict \
			-max_total_time=$(or $(FUZZ_SECONDS),60) -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=1024 \
			-verbosity=0 -print_final_stats=1 $(FUZZ_FLAGS) ) || exit 1; \
	done

# These checks take seconds, so they run first.
.PHONY: style
style:
	.ci/structure --self-test
	.ci/structure
	.ci/translations --self-test
	.ci/translations
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path crates/gitlab-ci/fuzz/Cargo.toml
	cargo fmt --all --check --manifest-path crates/gitlab-runner/fuzz/Cargo.toml

.PHONY: lint
lint: lint-code lint-docs ## Check structure, translations, formatting, clippy and docs; a warning is an error

.PHONY: lint-code
lint-code: style
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	# With the same packages and features, so that their dependencies are not checked again.
	cargo clippy --locked --workspace --all-features --test browser --test cluster --test engine --test lifecycle --test ruby -- -D warnings

.PHONY: lint-docs
lint-docs:
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items
	# The fuzz targets, without the C++ library that they are linked with.
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo check --locked --manifest-path crates/gitlab-ci/fuzz/Cargo.toml --target-dir target
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo check --locked --manifest-path crates/gitlab-runner/fuzz/Cargo.toml --target-dir target

# Not quiet, because the first build takes minutes. The commands after it print only the harness's own output.
.PHONY: harness
harness:
	cargo build --locked -p e2e

HARNESS_IMAGE ?= gitlab-ci-k8s-demo/e2e:latest
# Static, so that it runs in any image. A fixed load address needs no relocation, which saves half a millisecond at every start.
COMPILE_HARNESS = RUSTFLAGS='$(STATIC) -C relocation-model=static' cargo build --profile harness --locked -p e2e --target
.PHONY: build-harness
build-harness: ## Build dist/e2e: the harness as one static, stripped binary
	$(COMPILE_HARNESS) $(HOST)
	install -D -m 755 $(or $(CARGO_TARGET_DIR),target)/$(HOST)/harness/e2e dist/e2e

# Debian's packages for the other architecture: gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, or gcc-x86-64-linux-gnu and
# libc6-dev-amd64-cross.
.PHONY: dist
dist: dist-x86_64 dist-aarch64 ## Build dist/e2e-x86_64 and dist/e2e-aarch64, static and stripped, and their checksums: a release of the harness
	cd dist && sha256sum e2e-x86_64 e2e-aarch64 >SHA256SUMS

.PHONY: dist-x86_64 dist-aarch64
dist-x86_64 dist-aarch64: dist-%:
	! command -v rustup >/dev/null || rustup target add $*-unknown-linux-gnu
	CC_$*_unknown_linux_gnu=$*-linux-gnu-gcc $(COMPILE_HARNESS) $*-unknown-linux-gnu \
		--config 'target.$*-unknown-linux-gnu.linker = "$*-linux-gnu-gcc"'
	install -D -m 755 $(or $(CARGO_TARGET_DIR),target)/$*-unknown-linux-gnu/harness/e2e dist/e2e-$*

# HARNESS is a binary that exists already.
.PHONY: harness-image
harness-image: $(if $(HARNESS),,build-harness) ## Build the image of the harness for manifests/checks and manifests/pipeline; HARNESS_IMAGE=NAME:TAG names it
	$(if $(HARNESS),install -D -m 755 $(HARNESS) dist/e2e)
	base=$$(dist/e2e images --format json docker | sed -n 's/.*"reference": "\(.*\)".*/\1/p') && \
		docker build --build-arg "BASE=$$base" --file e2e/Dockerfile --tag '$(HARNESS_IMAGE)' dist

# Compiled once for all clones of a user, when `make docs` first runs: no other target needs it.
MDBOOK_VERSION = 0.5.4
MDBOOK_ROOT = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gitlab-ci-k8s-demo/mdbook-$(MDBOOK_VERSION)
MDBOOK = $(MDBOOK_ROOT)/bin/mdbook
$(MDBOOK):
	cargo install --locked --debug --root $(MDBOOK_ROOT) --version $(MDBOOK_VERSION) \
		--no-default-features --features search mdbook

.PHONY: docs
docs: $(MDBOOK) ## Build the pages and the course into one static site, target/book/index.html, and check its links
	.ci/book $(MDBOOK) target/book

.PHONY: doctor
doctor: harness ## Check the prerequisites of a cluster on this machine; DOCTOR_FLAGS=--fix installs the missing ones
	cargo run --quiet --locked -p e2e -- doctor $(VERSION_FLAG) $(DOCTOR_FLAGS)

.PHONY: images
images: harness ## Obtain the images of the cluster and the pipeline: use local ones, pull the others, or build them
	cargo run --quiet --locked -p e2e -- images $(VERSION_FLAG) $(IMAGES)

.PHONY: up
up: harness ## Install missing prerequisites (Debian or Ubuntu, as root), obtain the images, create the cluster
	cargo run --quiet --locked -p e2e -- doctor --fix $(VERSION_FLAG)
	cargo run --quiet --locked -p e2e -- up $(VERSION_FLAG) $(UP_FLAGS)

.PHONY: status
status: harness ## Show the running components, and the commands to reach them
	cargo run --quiet --locked -p e2e -- status

.PHONY: down
down: harness ## Remove every cluster of `make up`, with its registry, network, volumes and files
	cargo run --quiet --locked -p e2e -- down --all

.PHONY: e2e
e2e: harness ## Install prerequisites, run the pipelines of a branch and a tag, verify the service; E2E_FLAGS=--keep keeps the cluster
	cargo run --quiet --locked -p e2e -- doctor --fix $(VERSION_FLAG)
	cargo run --quiet --locked -p e2e -- run $(VERSION_FLAG) $(E2E_FLAGS)

.PHONY: schema
schema: ## Validate .gitlab-ci.yml against GitLab's schema and the manifests against Kubernetes' schemas
	.ci/schema

.PHONY: deny
deny: ## Check the licenses, sources and duplicates of all dependencies
	cargo deny --workspace check bans licenses sources

.PHONY: promtool
promtool: build ## Check /metrics with Prometheus' own linter
	.ci/promtool

.PHONY: reproducible
reproducible: ## Build twice, in two directories, and compare the binaries
	.ci/reproducible

.PHONY: msrv
msrv: ## Build and test the service with Debian 13's compiler
	.ci/msrv

.PHONY: bench-app
bench-app: build ## Compare the service with an equivalent one in Go: bench/README.md
	cargo run --release --locked -p bench -- app $(BENCH_FLAGS)

.PHONY: bench-up
bench-up: ## Compare `e2e up` with `kind create cluster`: bench/README.md
	cargo build --locked -p e2e
	cargo run --release --locked -p bench -- up $(BENCH_FLAGS)

.PHONY: bench-pipeline
bench-pipeline: build-harness ## Compare planning and running with gitlab-ci-local: bench/README.md
	cargo run --release --locked -p bench -- pipeline $(BENCH_FLAGS)

.PHONY: bench-pods
bench-pods: build-harness ## Compare jobs in pods of the cluster of `make up` with kubectl: bench/README.md
	cargo run --release --locked -p bench -- pods $(BENCH_FLAGS)

.PHONY: picture
picture: build ## Draw docs/first-run.svg from a real run
	.ci/picture

.PHONY: picture-run
picture-run: ## Draw docs/run.svg and docs/report-*.png from a real run of `make e2e`; PICTURES=DIR writes them elsewhere
	mkdir -p target
	$(MAKE) --no-print-directory e2e 2>&1 | tee target/run.log
	.ci/picture-of-a-run target/run.log $(PICTURES)

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
	rm -rf dist
