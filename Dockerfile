# The image contains only the binary: no shell, no libc, no package to patch. `make build` creates dist/app first; in the pipeline,
# the job `compile` passes it on as an artifact.
FROM scratch

# Facts about the build, for registries and users: https://github.com/opencontainers/image-spec/blob/main/annotations.md
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

# A number, not a name: the image has no /etc/passwd, and Kubernetes verifies runAsNonRoot only for numeric users.
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["/app"]
