# shellcheck shell=bash
# Sourced by test_image.sh: a Docker daemon of our own, for a plain root machine that has none and reaches no registry.

# Once more after a moment, for what needs the network.
twice() { "$@" || { echo "once more: $*" >&2; sleep 10; "$@"; }; }

no_docker() { echo "the image is not tested, no Docker here: $*"; exit 77; }

start_daemon() { # WORK: all of the daemon's files
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        no_docker "to install one takes root and apt-get"
    fi
    install_docker() {
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
            docker.io docker-compose mmdebstrap
    }
    twice install_docker >"$1/apt.log" 2>&1 || { tail -n 5 "$1/apt.log"; no_docker "apt-get cannot install it"; }
    export DOCKER_HOST="unix://$1/docker.sock" PATH="/usr/bin:/usr/sbin:$PATH" # Debian's client fits Debian's daemon
    # No bridge: that would change the host's network. Containers of the test have no network, builds the host's.
    dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "$DOCKER_HOST" \
        --bridge=none --iptables=false --storage-driver overlay2 >"$1/dockerd.log" 2>&1 &
    daemon=$!
    for _ in $(seq 60); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$daemon" 2>/dev/null || break
        sleep 1
    done
    tail -n 5 "$1/dockerd.log"
    no_docker "its daemon does not start"
}

stop_daemon() { # WORK
    kill "$daemon" 2>/dev/null && wait "$daemon"
    awk -v work="$1/" 'index($2, work) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l
}

# debian:bookworm-slim from Debian's own packages. Whatever leads this machine's pip to its packages - a certificate
# authority, an index - goes along in the environment, so that the Dockerfile needs to know nothing of it.
stand_in_base() { # WORK
    local ca changes=() name
    ca=${PIP_CERT:-${SSL_CERT_FILE:-$(python3 -m pip config get global.cert 2>/dev/null || true)}}
    for name in PIP_INDEX_URL HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
        [ -z "${!name:-}" ] || changes+=(--change "ENV $name=${!name}")
    done
    [ -z "${PIP_INDEX_URL:-}" ] || changes+=(--change "ENV UV_DEFAULT_INDEX=$PIP_INDEX_URL")
    [ -z "$ca" ] || changes+=(--change "ENV PIP_CERT=/ca.pem SSL_CERT_FILE=/ca.pem")
    twice mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Retries "3"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' ${ca:+--customize-hook="upload '$ca' /ca.pem"} \
        bookworm "$1/base.tar" >&2
    docker import "${changes[@]}" --change 'CMD ["bash"]' "$1/base.tar" debian:bookworm-slim >/dev/null
    rm "$1/base.tar"
}
