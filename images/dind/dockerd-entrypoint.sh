#!/bin/sh
# Starts the engine as upstream's entrypoint of the same name does: flags are dockerd's, and a program is run as it is.
set -eu

case ${1:-} in
    ''|-*) set -- dockerd "$@" ;;
esac
if [ "$1" = dockerd ]; then
    if [ -n "${DOCKER_TLS_CERTDIR:-}" ]; then
        echo "dockerd-entrypoint.sh: this image serves without TLS only: set DOCKER_TLS_CERTDIR to nothing" >&2
        exit 1
    fi
    shift
    # A container that was stopped and is started again still has it.
    rm -f /var/run/docker.pid
    set -- dockerd --host=unix:///var/run/docker.sock --host=tcp://0.0.0.0:2375 --tls=false "$@"
fi
exec "$@"
