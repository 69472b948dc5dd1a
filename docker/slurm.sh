#!/bin/bash
# Training on two nodes under Slurm: sbatch docker/slurm.sh --config imagenet --data.path PHOTOS --name NAME
# SIMSIAM is how a node calls the program, for example SIMSIAM="apptainer run --nv --bind runs:/runs simsiam-tf.sif".
# A run that has lost a node is queued again, too, at most MAX_RESTARTS times (20). Three minutes before the time limit, and when the job is pre-empted, the run saves, leaves with 75 and is queued again.
#SBATCH --job-name=simsiam
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append

distribution=(--training.distribution multi_worker)
[ "${SLURM_NTASKS:-1}" -gt 1 ] || distribution=()

code=0
# shellcheck disable=SC2086  # SIMSIAM is several words
srun --kill-on-bad-exit=0 ${SIMSIAM:-simsiam-tf} train "$@" "${distribution[@]}" || code=$?
# srun returns the highest code. Above 128 a task was killed; the others have left with 75 then.
if { [ "$code" = 75 ] || [ "$code" -gt 128 ]; } && [ "${SLURM_RESTART_COUNT:-0}" -lt "${MAX_RESTARTS:-20}" ]; then
    exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
