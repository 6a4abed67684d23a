# The front door. `make help` lists the targets; each is one command or a few, and CI calls the same.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The target is named even where it is the host's own: build scripts and macros then stay dynamic, as they must.
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
CARGO_HOME ?= $(HOME)/.cargo

# A tag, or a tag and the distance from it; in a pipeline build.rs takes what GitLab says.
ifndef CI_COMMIT_TAG
VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null)
endif

.PHONY: build
build: ## Build dist/app: one static, stripped binary, the same to the byte for the same commit
	VERSION='$(VERSION)' RUSTFLAGS='$(STATIC_FLAGS)' cargo build --release --locked -p app --target $(HOST)
	install -D -m 755 target/$(HOST)/release/app dist/app

# No libc at run time, and no folder of the building machine in panic messages.
STATIC_FLAGS := -C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=/src --remap-path-prefix=$(CARGO_HOME)=/cargo
