# The commands of this repository. Each does its own set-up (scripts/setup) and asks for nothing.
.PHONY: help demo test lint bench fuzz fuzz-parsers plugins docs

# Crates that become plugins: built and linted for wasm32-unknown-unknown as well.
GUESTS = grep -ls cdylib patterns-wasm/*/Cargo.toml patterns-wasm/*/*/Cargo.toml | \
	xargs -r awk -F'"' '/^name/ {print "-p " $$2; nextfile}'
# Where `make lint` puts cargo-deny when the machine has none (some minutes, once). SKIP_DENY=1 leaves it out.
DENY = target/tools/bin/cargo-deny

# The fuzz targets, a workspace of its own.
FUZZ = proxy/fuzz/Cargo.toml

# Rust's Redis clients for the tests, a workspace of its own.
CLIENTS = tests/clients/matrix/rust/Cargo.toml

help:
	@echo 'make demo          three redis-server shards, the gateway on 127.0.0.1:6380, a guided tour; Ctrl-C ends it'
	@echo 'make demo ONCE=1   the same, ends after the tour; the exit status says whether every step held'
	@echo 'make test          every test (SEED=n replays the seeded ones)'
	@echo 'make lint          formatting, clippy, documentation, dependency rules'
	@echo 'make bench         CPU per request beside direct Redis and twemproxy (QUICK=1: shorter; SAVE=1: keeps the result)'
	@echo 'make bench PLUGINS=1   what plugins cost, and what bad ones do to others (GROUP=name: one group; QUICK=1: shorter)'
	@echo 'make docs          writes docs/commands.md from the command table, its rules and differences'
	@echo 'make fuzz          the seeded tests (same_as_redis, scanner, simulation) with new seeds (ROUNDS=n, default 10)'
	@echo 'make fuzz-parsers  cargo-fuzz on the parsers of frames, replies and requests (MINUTES=n each, default 10)'

demo: plugins
	cargo run --locked --bin sluicegate -- demo $(if $(ONCE),--once)

test:
	scripts/setup tests
	scripts/build-plugins
	cargo build --locked --bin sluicegate
	cargo test --workspace --locked

docs:
	UPDATE_DOCS=1 cargo test -q --locked -p sluicegate --lib command::page

plugins:
	scripts/setup demo
	scripts/build-plugins

lint:
	scripts/setup lint
	cargo fmt --all --check
	cargo fmt --manifest-path $(CLIENTS) --check
	cargo fmt --manifest-path $(FUZZ) --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --locked --manifest-path $(FUZZ) --target-dir target/fuzz -- -D warnings
	guests=$$($(GUESTS)); test -z "$$guests" || \
		cargo clippy --locked --lib --examples --target wasm32-unknown-unknown $$guests -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
	@test -n "$(SKIP_DENY)" || command -v cargo-deny >/dev/null || test -x $(DENY) || \
		cargo install cargo-deny --locked --version 0.20.2 --root target/tools
	@test -n "$(SKIP_DENY)" || PATH="$$PATH:$$PWD/target/tools/bin" cargo deny --locked check bans licenses sources
	@test -n "$(SKIP_DENY)" || PATH="$$PATH:$$PWD/target/tools/bin" cargo deny --locked --manifest-path $(CLIENTS) check bans licenses sources

bench:
	scripts/setup bench
	cargo build --release --locked --bin sluicegate
	$(if $(PLUGINS),scripts/build-plugins)
	cargo run --locked -p sluicegate-bench -- $(if $(PLUGINS),plugins $(GROUP)) $(if $(QUICK),--quick) \
		$(if $(SAVE),--save)

ROUNDS = 10
fuzz:
	scripts/setup tests
	cargo build --locked --bin sluicegate
	i=0; while [ $$i -lt $(ROUNDS) ]; do \
		i=$$((i + 1)); seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); echo "round $$i: SEED=$$seed"; \
		SEED=$$seed SEEDS=1000 cargo test --locked -p sluicegate-tests --test it -- same_as_redis scanner simulation || exit 1; \
	done

# No sanitizer: what is fuzzed is safe Rust. What is found lies in target/fuzz/found; an input that breaks something
# is printed with its file: `target/fuzz/*/release/TARGET FILE` runs it again, and a copy belongs into the corpus. New
# inputs join the corpus by `target/fuzz/*/release/TARGET -merge=1 proxy/fuzz/corpus/TARGET target/fuzz/found/TARGET`.
MINUTES = 10
FUZZED = frame reply request
fuzz-parsers:
	scripts/setup fuzz
	for target in $(FUZZED); do \
		mkdir -p target/fuzz/found/$$target; \
		PATH="$$PATH:$$PWD/target/tools/bin" cargo +nightly fuzz run --fuzz-dir proxy/fuzz --target-dir target/fuzz \
			--sanitizer none $$target target/fuzz/found/$$target proxy/fuzz/corpus/$$target -- \
			-max_total_time=$$(($(MINUTES) * 60)) -max_len=4096 -timeout=10 -rss_limit_mb=512 \
			-artifact_prefix=target/fuzz/found/ || exit 1; \
	done
