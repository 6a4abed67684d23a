#!/bin/sh
# As upstream's: flags and commands are Traefik's, and any other program runs as it is.
set -eu

case ${1:-} in
    -* | version | healthcheck) exec traefik "$@" ;;
    *) exec "$@" ;;
esac
