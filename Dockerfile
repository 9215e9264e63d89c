# Both binaries, static, in an image with nothing else: no shell, no libraries, nothing to keep patched.
#
#   make docker-build IMAGE=192.168.2.100:5000/ha-sync:latest
#
# Linked against musl and not against a static glibc: with musl a binary is whole. One with glibc's finds a database's
# host through whatever /etc/nsswitch.conf names, and loads these libraries at run time, from an image that has none.
# musl asks the name servers of /etc/resolv.conf, which is what a cluster has. Its slow allocator is not used: mimalloc is.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends musl-tools \
 && rm -rf /var/lib/apt/lists/*
RUN rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src

# All crates, built with empty programs in place of ours: this layer lasts until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN sed -n 's/^path = "\(.*\)"$/\1/p; /^\[\[bench\]\]/,/^harness/s/^name = "\(.*\)"$/benches\/\1.rs/p' Cargo.toml \
    | while read -r file; do mkdir -p "$(dirname "$file")" && echo 'fn main() {}' >"$file"; done \
 && touch src/lib.rs \
 && cargo build --release --locked --bins --target "$(uname -m)-unknown-linux-musl" \
 && rm -rf src

# Ours. They are newer than the empty ones, whatever time their files bear.
COPY src src
RUN find src -type f -exec touch {} + \
 && cargo build --release --locked --bins --target "$(uname -m)-unknown-linux-musl" \
 && mkdir -p /image && install -d -m 1777 /image/tmp \
 && for program in src/bin/*.rs; do \
      install -s "target/$(uname -m)-unknown-linux-musl/release/$(basename "$program" .rs)" /image/; \
    done

FROM scratch
LABEL org.opencontainers.image.title="ha-sync" \
      org.opencontainers.image.description="Keeps pairs of huge folder trees on two file servers in bidirectional sync" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
COPY --from=build /image/ /
ENTRYPOINT ["/ha-sync"]
