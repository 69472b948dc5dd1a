#!/usr/bin/env bash
# Builds the CPU image from the Dockerfile and uses it: no network, nothing writable but /runs, another user's files.
# Exit codes: 0 all is well; 77 there is no Docker here; 1 something failed, and what it printed.
# A daemon that answers is used. Else one is installed and started for the test, and taken away with all its data.
set -euo pipefail
cd "$(dirname "$0")/.."
. docker/daemon.sh
work=$(mktemp -d /tmp/image.XXXXXX) image=simsiam-tf:test label=simsiam-tf.test=$$ daemon=

clean() {
    set +e
    docker ps -aq --filter "label=$label" | xargs -r docker rm -f
    [ -n "$daemon" ] && stop_daemon "$work"
    rm -rf "$work"
} >/dev/null 2>&1
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "FAILED: $*"; tail -n 40 "$work/log"; exit 1; }

expect() { # CODE WORDS COMMAND...: the command ends with this code and prints these words
    local wanted=$1 words=$2 code=0
    shift 2
    "$@" >"$work/log" 2>&1 || code=$?
    [ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*"
    grep -qF -- "$words" "$work/log" || fail "'$words' is not printed: $*"
    echo "ok ${SECONDS}s: $words"
}

eventually() { # COMMAND...: it succeeds within ten minutes
    for _ in $(seq 600); do
        "$@" >"$work/log" 2>&1 && return
        sleep 1
    done
    fail "ten minutes in vain: $*"
}

if ! docker info >/dev/null 2>&1; then
    start_daemon "$work"
    stand_in_base "$work"
fi

build() { DOCKER_BUILDKIT=1 docker build --network host --build-arg DEVICE=cpu -t "$image" "$1" >"$work/log" 2>&1; }
twice build . || fail "docker build"
echo "ok ${SECONDS}s: built, $(docker image inspect -f '{{.Size}}' "$image" | awk '{printf "%.2f GB", $1 / 1e9}')"

if command -v docker-compose >/dev/null; then
    for overlay in compose.yaml compose.gpu.yaml; do
        docker-compose -f docker/compose.yaml -f "docker/$overlay" config -q >"$work/log" 2>&1 || fail "docker/$overlay"
    done
    echo "ok ${SECONDS}s: compose files"
fi

user=$(id -u)
[ "$user" != 0 ] || user=1234
mkdir "$work/runs" && chown "$user" "$work/runs"
sealed=(--label "$label" --network none --read-only --tmpfs /tmp --user "$user:$user" -v "$work/runs:/runs")
run() { timeout 1200 docker run --rm "${sealed[@]}" "$image" "$@"; }
background() { docker run -d --name "$1-$$" "${sealed[@]}" --health-interval 2s "$image" "${@:2}"; }
health() { docker inspect -f '{{.State.Health.Status}}' "stopped-$$" | grep -qx "$1"; }
ended() { docker inspect -f '{{.State.Status}}' "$1-$$" | grep -qx exited; }
code() { docker inspect -f '{{.State.ExitCode}}' "$1-$$"; }
train=(train --config digits --data.limit 160 --data.test_limit 100 --data.image_size 12 --backbone.width 4
    --method.projection_dim 16 --method.predictor_hidden 4 --optimizer.batch_size 32 --evaluation.fractions '[1.0]'
    --evaluation.subsets 1 --evaluation.linear_epochs 5 --evaluation.baselines '[]')

expect 0 "usage: simsiam-tf VERB" run --help
expect 2 "simsiam-tf: VERB: 'fly' is unknown" run fly
[ "$(wc -l <"$work/log")" = 1 ] || fail "more than one line for a bad command"
expect 0 "training on CPU" run "${train[@]}" --name small --optimizer.epochs 2
expect 0 "trained encoder" run evaluate /runs/small
expect 0 "100 x 32 features" run embed /runs/small --data test --output /runs/features.parquet
[ -z "$(find "$work/runs" ! -user "$user")" ] || fail "files in /runs that are not the caller's"
expect 0 "as simsiam" docker run --rm --label "$label" --entrypoint sh "$image" -c \
    'touch /runs/a /data/a && ! python -m pip && ! touch /opt/code/a && echo "as $(whoami)"'

# The health check tells a process that makes no steps, and SIGTERM is "save and leave with 75, to be gone on with".
background stopped "${train[@]}" --name stopped --optimizer.epochs 100000 >/dev/null
eventually test -s "$work/runs/stopped/metrics.csv"
eventually health healthy
docker kill -s STOP "stopped-$$" >/dev/null
find "$work/runs/stopped" -exec touch -d '1 hour ago' {} +
eventually health unhealthy
docker kill -s CONT "stopped-$$" >/dev/null
docker stop -t 120 "stopped-$$" >/dev/null
docker logs "stopped-$$" >"$work/log" 2>&1
[ "$(code stopped)" = 75 ] || fail "exit code $(code stopped) instead of 75 after docker stop"
steps() { # of the newest checkpoint
    find "$work/runs/stopped/checkpoints" -name 'step-*' -printf '%f\n' | sort | tail -n 1 |
        sed -E 's/step-0*([0-9]+).npz/\1/'
}
last=$(($(steps) + 3))
first() { sed -n '2s/,*\r$//p' "$work/runs/stopped/metrics.csv"; } # epoch with its times; columns may join it at the end
first >"$work/before"
expect 0 "run folder: runs/stopped" run "${train[@]}" --name stopped --optimizer.epochs 100000 \
    --training.stop_after_steps "$last"
[ "$(steps)" = "$last" ] || fail "the run ended at step $(steps) instead of $last"
first | cmp - "$work/before" || fail "the run did not go on, it began anew"
echo "ok ${SECONDS}s: unhealthy when stalled, docker stop saves, the same command goes on to step $last"

# Before there is anything to save, SIGTERM ends the first process of a container as it would any other.
background early "${train[@]}" --name early --optimizer.epochs 100000 >/dev/null
leaves() { ended early || { docker kill -s TERM "early-$$"; false; }; }
eventually leaves
case $(code early) in 75 | 143) ;; *) fail "exit code $(code early) after an early SIGTERM" ;; esac
echo "ok ${SECONDS}s: an early SIGTERM ends it with $(code early)"

# A change of the code leaves the layer of TensorFlow as it is.
layers() { docker image inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' "$image" | grep . | head -n -1; }
layers >"$work/layers"
mkdir "$work/context" && cp -r Dockerfile .dockerignore requirements.txt pyproject.toml README.md docker configs \
    simsiam_tf "$work/context" && echo '# changed' >>"$work/context/simsiam_tf/cli/main.py"
twice build "$work/context" || fail "docker build after a change of the code"
layers | cmp - "$work/layers" || fail "a change of the code changes more than the last layer"
echo "ok ${SECONDS}s: a change of the code is one small layer"
