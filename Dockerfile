# The image is the binary: no shell, no libc, no package to patch. `make build` makes dist/app first; the pipeline's
# compile job hands it over as an artifact.
FROM scratch

# Facts of the build, for registries and people: https://github.com/opencontainers/image-spec/blob/main/annotations.md
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="gitlab-ci-k8s-demo" \
      org.opencontainers.image.description="A small, instrumented service" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"

COPY dist/app /app

# A number and not a name: there is no /etc/passwd, and Kubernetes' runAsNonRoot only trusts numbers.
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["/app"]
