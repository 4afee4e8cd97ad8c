#!/usr/bin/env bash
# A Cloud TPU slice: the same command on every host of it, one process a host. Needs gcloud, and magvit_jax[tpu]
# installed on the hosts. The workdir and the data are on a disk that all hosts see (Filestore, a mounted bucket).
#
#   tools/launch/cloud_tpu.sh NAME ZONE --config=magvit2/masked_video:h --config.mesh.fsdp=16 --workdir=/shared/run
set -euo pipefail

if (($# < 3)); then
  echo "usage: $0 NAME ZONE ARGUMENTS OF magvit train" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
printf -v arguments '%q ' "$@"
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="magvit train --coordinator=auto $arguments"
