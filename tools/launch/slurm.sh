#!/usr/bin/env bash
# GPUs under SLURM: one process a GPU, as JAX expects there. Arguments are those of `magvit train`:
#
#   sbatch --nodes=4 tools/launch/slurm.sh --config=magvit2/masked_video:l --config.mesh.fsdp=8 --workdir=/shared/run
#
# The workdir is on a disk that all nodes see. The job saves two minutes before its time is up, and a requeued or
# resubmitted job goes on from there.
#SBATCH --job-name=magvit
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=%x_%j.log
set -euo pipefail

# A process that dies takes the others with it; what is left of the job ends at once.
exec srun --kill-on-bad-exit=1 magvit train --coordinator=auto "$@"
