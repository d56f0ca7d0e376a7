# The image: one static binary, a CA bundle, nothing else. Builds with BuildKit and with buildah 1.28:
#
#   docker build -t outrigger .          buildah bud -t outrigger .
#
# Its configuration is a directory mounted at /etc/outrigger; a missing file is exit code 2, never an open proxy.

ARG RUST_VERSION=1.95
FROM docker.io/library/rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY . .
# An explicit --target keeps the static C library away from build scripts and procedural macros, which must load.
# Relative relocations are packed: half a MiB less to read at the start (docs/performance.md, "Memory and idleness").
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    cargo build --release --locked --package outrigger --bin outrigger --target "$host" \
 && mkdir -p /image/etc \
 && install -m 0755 "target/$host/release/outrigger" /image/outrigger \
 && printf 'hosts: files dns\n' > /image/etc/nsswitch.conf

FROM scratch
COPY --from=build /image/ /
# For TLS towards upstreams; mount another bundle and point SSL_CERT_FILE at it to trust other roots.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8000 9902
ENTRYPOINT ["/outrigger"]
CMD ["run", "-c", "/etc/outrigger/outrigger.yaml"]
