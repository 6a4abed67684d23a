#!/bin/sh
# Starts the engine as upstream's entrypoint of the same name does. Flags are passed to dockerd; any other program runs unchanged.
#   DOCKER_TLS_CERTDIR   the directory of the certificates, which are created if missing: dockerd listens on tcp://…:2376, for clients
#                        with a certificate. Empty: tcp://…:2375 without authentication; dockerd delays its start unless --tls=false
#                        is given.
set -eu

# Runs openssl. Its messages, which include its progress, are printed only if it fails.
openssl_quietly() {
    messages=$(openssl "$@" 2>&1) || {
        printf 'openssl %s failed:\n%s\n' "$1" "$messages" >&2
        return 1
    }
}

# certificate DIRECTORY SUBJECT KEY_USAGE [ALTERNATIVE_NAMES]: creates a key, and a certificate that the authority has signed.
certificate() {
    mkdir -p "$1"
    cp "$certificates/ca/cert.pem" "$1/ca.pem"
    [ -s "$1/cert.pem" ] && [ -s "$1/key.pem" ] && return
    openssl_quietly req -newkey rsa:2048 -nodes -keyout "$1/key.pem" -subj "/CN=$2" -out "$1/csr.pem"
    printf 'extendedKeyUsage=%s\n%s' "$3" "${4:+subjectAltName=$4}" > "$1/extensions"
    openssl_quietly x509 -req -in "$1/csr.pem" -CA "$certificates/ca/cert.pem" -CAkey "$certificates/ca/key.pem" -CAcreateserial \
        -days 825 -extfile "$1/extensions" -out "$1/cert.pem"
    rm "$1/csr.pem" "$1/extensions"
}

make_certificates() {
    names="DNS:$(hostname),DNS:docker,DNS:localhost,IP:127.0.0.1,IP:::1"
    for address in $(hostname -I); do
        names="$names,IP:$address"
    done
    umask 077
    mkdir -p "$certificates/ca"
    if [ ! -s "$certificates/ca/cert.pem" ]; then
        openssl_quietly req -x509 -newkey rsa:2048 -nodes -days 825 -subj '/CN=docker:dind CA' \
            -keyout "$certificates/ca/key.pem" -out "$certificates/ca/cert.pem"
    fi
    certificate "$certificates/server" docker:dind serverAuth "$names"
    certificate "$certificates/client" docker:dind-client clientAuth
    umask 022
    # A job with this directory may run as any user.
    chmod 755 "$certificates" "$certificates/client"
    chmod 644 "$certificates/client"/*.pem
}

case ${1:-} in
    '' | -*) set -- dockerd "$@" ;;
esac
if [ "$1" = dockerd ]; then
    shift
    certificates=${DOCKER_TLS_CERTDIR:-}
    if [ -n "$certificates" ]; then
        make_certificates
        set -- --host=tcp://0.0.0.0:2376 --tlsverify --tlscacert="$certificates/server/ca.pem" \
            --tlscert="$certificates/server/cert.pem" --tlskey="$certificates/server/key.pem" "$@"
    else
        set -- --host=tcp://0.0.0.0:2375 "$@"
    fi
    # A stopped container that is started again still has these files.
    rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
    set -- dind tini -- dockerd --host=unix:///var/run/docker.sock "$@"
fi
exec "$@"
