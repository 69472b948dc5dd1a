#!/usr/bin/env bash
# Builds the GPU image, 6.3 GB, and asks it for GPUs with a driver that only shows one: docker/driver.c. Needs gcc.
# Exit codes: 0 all is well; 77 there is no Docker here; 1 something failed, and what it printed.
set -euo pipefail
cd "$(dirname "$0")/.."
. docker/daemon.sh
work=$(mktemp -d /tmp/image.XXXXXX) image=simsiam-tf:gpu-test daemon=

clean() {
    set +e
    [ -n "$daemon" ] && stop_daemon "$work"
    rm -rf "$work"
} >/dev/null 2>&1
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! docker info >/dev/null 2>&1; then
    start_daemon "$work"
    stand_in_base "$work"
fi
build() { DOCKER_BUILDKIT=1 docker build --network host -t "$image" . >"$work/log" 2>&1; }
twice build || { tail -n 40 "$work/log"; exit 1; }
echo "ok ${SECONDS}s: built, $(docker image inspect -f '{{.Size}}' "$image" | awk '{printf "%.2f GB", $1 / 1e9}')"

mkdir "$work/driver" && chmod 755 "$work" "$work/driver"
gcc -shared -fPIC -o "$work/driver/libcuda.so.1" docker/driver.c
cp "$work/driver/libcuda.so.1" "$work/driver/libnvidia-ml.so.1"
listed() { # STATEMENT: what TensorFlow lists after it
    docker run --rm --network none --read-only --tmpfs /tmp -v "$work/driver:/driver:ro" -e LD_LIBRARY_PATH=/driver \
        --entrypoint python3 "$image" -c "$1
import tensorflow as tf; print([gpu.name for gpu in tf.config.list_physical_devices('GPU')])" 2>"$work/log"
}
expect() { # LIST STATEMENT
    [ "$(listed "$2")" = "$1" ] || { tail -n 40 "$work/log"; echo "FAILED: no $1 after '$2'"; exit 1; }
    echo "ok ${SECONDS}s: $1 after '$2'"
}
expect "['/physical_device:GPU:0']" "from simsiam_tf.cli.tensorflow import quiet_tensorflow; quiet_tensorflow()"
expect "['/physical_device:GPU:0']" "import simsiam_tf"
expect "[]" "" # what simsiam_tf.cuda.preload is for
