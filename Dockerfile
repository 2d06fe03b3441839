# docker build -t ses-mailfrom:0.1.0 .

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Cargo's folders are caches of the builder, so that a rebuild takes what is there;
# the binary has to be copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package ses-mailfrom --bin ses-mailfrom \
    && cp target/dist/ses-mailfrom /ses-mailfrom

# No shell and no package manager: glibc, the CA certificates that AWS's
# endpoints need, and a user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /ses-mailfrom /ses-mailfrom
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/ses-mailfrom"]
CMD ["run"]
