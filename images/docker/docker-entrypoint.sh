#!/bin/sh
# Does what upstream's entrypoint of the same name does: flags and commands are passed to docker, any other program runs unchanged.
# Without DOCKER_HOST and without a local socket, the engine is the service `docker`.
set -eu

case ${1:-} in
    -*) set -- docker "$@" ;;
    dockerd)
        echo "docker-entrypoint.sh: this image has the client only: use the image whose tag ends in -dind" >&2
        exit 1
        ;;
    ?*) ! docker help "$1" > /dev/null 2>&1 || set -- docker "$@" ;;
esac

has_certificate() {
    [ -n "${DOCKER_TLS_CERTDIR:-}" ] && [ -s "$DOCKER_TLS_CERTDIR/client/ca.pem" ] &&
        [ -s "$DOCKER_TLS_CERTDIR/client/cert.pem" ] && [ -s "$DOCKER_TLS_CERTDIR/client/key.pem" ]
}

if [ -z "${DOCKER_HOST:-}" ] && [ ! -S /var/run/docker.sock ]; then
    if has_certificate || [ -n "${DOCKER_TLS_VERIFY:-}" ]; then
        export DOCKER_HOST=tcp://docker:2376
    else
        export DOCKER_HOST=tcp://docker:2375
    fi
fi
case ${DOCKER_HOST:-} in
    tcp:*)
        if [ -z "${DOCKER_TLS_VERIFY:-}" ] && [ -z "${DOCKER_CERT_PATH:-}" ] && has_certificate; then
            export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$DOCKER_TLS_CERTDIR/client"
        fi
        ;;
esac
exec "$@"
