#!/bin/sh
# Like upstream's entrypoint: passes flags and commands to Traefik, and runs any other program unchanged.
set -eu

case ${1:-} in
    -* | version | healthcheck) exec traefik "$@" ;;
    *) exec "$@" ;;
esac
