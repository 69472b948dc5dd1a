#!/usr/bin/env bash
# Everything that only a GPU can tell, in the order of README.md beside this file, in slices that resume.
#
#   DATA=FOLDER_WITH_TFDS benchmarks/gpu/run.sh [OPTIONS OF simsiam-tf train ...]
#
# A call takes at most BUDGET seconds (default 540); call it again until it exits with 0. Exit codes: 0 all is done;
# 75 time is up, call again; any other: the stage named last has failed, its log is in WORK.
# WORK (default /tmp/simsiam-gpu) keeps run folder, logs and compiled programs; RESULTS gets the figures as JSON.
# PYTHON: the interpreter; where TensorFlow came as a kit, source the kit's env.sh before.
# On a CPU, to see whether it runs at all (README.md): ALLOW_CPU=1 with small BATCH, WIDTH, STEPS and IMAGES.
set -uo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-${TFGPU_PYTHON:-python3}}
WORK=${WORK:-/tmp/simsiam-gpu}
RESULTS=${RESULTS:-benchmarks/results/gpu}
DEADLINE=$((SECONDS + ${BUDGET:-540}))
mkdir -p "$WORK" "$RESULTS"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
# A second process loads the compiled step instead of compiling it again.
export TF_XLA_FLAGS="--tf_xla_persistent_cache_directory=$WORK/xla ${TF_XLA_FLAGS:-}"

# stage NAME SECONDS COMMAND...: run COMMAND once, if at least SECONDS are left.
stage() {
    local name=$1 least=$2 left=$((DEADLINE - SECONDS)) code
    shift 2
    [ -e "$WORK/$name.done" ] && return
    [ "$left" -ge "$least" ] || { echo "== $name waits for the next call"; exit 75; }
    echo "== $name"
    # train saves and exits with 75 on SIGTERM; a minute is for that and for TensorFlow to take itself apart.
    timeout --foreground --preserve-status --signal=TERM --kill-after=60 $((left - 60)) "$@" 2>&1 | tee -a "$WORK/$name.log"
    code=${PIPESTATUS[0]}
    case $code in
        0) touch "$WORK/$name.done" ;;
        75) echo "== $name goes on in the next call"; exit 75 ;;
        *) echo "== $name failed with exit code $code"; exit "$code" ;;
    esac
}

# train CONFIG NAME OPTIONS...
train() {
    exec "$PYTHON" -m simsiam_tf train --config "$1" --name "$2" --output "$WORK/runs" ${DATA:+--data.path "$DATA"} "${@:3}"
}

check() {
    "$PYTHON" - <<'PYTHON'
import os
import simsiam_tf  # opens what TensorFlow does not find
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
print([tf.config.experimental.get_device_details(gpu) for gpu in gpus])
raise SystemExit(0 if gpus or os.environ.get("ALLOW_CPU") else "no GPU")
PYTHON
}

collect() {
    local name
    for name in cifar10 cifar10_fast; do
        mkdir -p "$RESULTS/$name"
        cp "$WORK/runs/$name"/{result.json,environment.json,metrics.csv,curves.png,config.yaml} "$RESULTS/$name"/
    done
    "$PYTHON" benchmarks/time_to_accuracy.py "$RESULTS"/cifar10*/metrics.csv | tee "$RESULTS/time_to_accuracy.txt"
}

export -f train check collect
export PYTHON WORK RESULTS
benchmark() { stage "$1" 120 "$PYTHON" "benchmarks/$1.py" --json "$RESULTS/$1.json" "${@:2}"; }

stage check 90 bash -c check
stage smoke 120 "$PYTHON" -m simsiam_tf train --config digits --name smoke --output "$WORK/runs" --optimizer.epochs 2 \
    --evaluation.baselines "[]" --evaluation.fractions "[1.0]"
benchmark augmentation
stage augmentation_224 120 "$PYTHON" benchmarks/augmentation.py --recipe imagenet --image-size 224 --batch-size 128 \
    --json "$RESULTS/augmentation_224.json"
BATCH=${BATCH:-512} WIDTH=${WIDTH:-64}
benchmark step --batch-size "$BATCH" --width "$WIDTH" --steps "${STEPS:-20}" --precision bfloat16
benchmark epoch --images "${IMAGES:-51200}" --batch-size "$BATCH" --width "$WIDTH" --image-size 32
benchmark step_profile --batch-size "$BATCH" --width "$WIDTH" --precision bfloat16
benchmark monitors --images "${IMAGES:-10000}" --width "$WIDTH" --repeats 1
benchmark startup
stage train 150 bash -c 'train cifar10 cifar10 "$@"' train "$@"
stage fast 150 bash -c 'train cifar10_fast cifar10_fast "$@"' fast "$@"
stage collect 90 bash -c collect
echo "all done, figures in $RESULTS"
