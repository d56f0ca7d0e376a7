# The image contains one static binary and a CA bundle. Builds with BuildKit and with buildah 1.28:
#
#   docker build -t outrigger .          buildah bud -t outrigger .
#
# The configuration is a directory mounted at /etc/outrigger. Without a file the exit code is 2; there is no open proxy.

ARG RUST_VERSION=1.95
FROM docker.io/library/rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY . .
# With an explicit --target, build scripts and procedural macros are not linked statically; otherwise they could not be loaded.
# Packed relative relocations save 0.5 MiB of memory at the start (docs/performance.md, "Memory and idle CPU").
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    cargo build --release --locked --package outrigger --bin outrigger --target "$host" \
 && mkdir -p /image/etc \
 && install -m 0755 "target/$host/release/outrigger" /image/outrigger \
 && printf 'hosts: files dns\n' > /image/etc/nsswitch.conf

FROM scratch
COPY --from=build /image/ /
# For TLS with upstreams; to trust other CAs, mount another bundle and set SSL_CERT_FILE to its path.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8000 9902
ENTRYPOINT ["/outrigger"]
CMD ["run", "-c", "/etc/outrigger/outrigger.yaml"]
