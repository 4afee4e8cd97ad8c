#!/usr/bin/env bash
# Several processes on this machine, over loopback: to see that a run works in parts before it gets a cluster.
#
#   tools/launch/local.sh 2 --config=quickstart/tokenizer:smoke --workdir=runs/two
#
# On a machine without accelerators each process simulates as many devices as MAGVIT_DEVICES says, 4 by default. Process 0
# writes to this terminal, the others to magvit_process_N.log in this folder. Ctrl-C or SIGTERM to this script stops all
# of them; they save first.
set -euo pipefail

if (($# < 2)) || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: $0 PROCESSES ARGUMENTS OF magvit train" >&2
  exit 2
fi
processes=$1
shift
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
if [[ "${JAX_PLATFORMS:-cpu}" == cpu ]]; then
  export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=${MAGVIT_DEVICES:-4}"
fi

pids=()
trap 'kill -TERM "${pids[@]}" 2>/dev/null || true' INT TERM
for ((process = 0; process < processes; process++)); do
  command=(magvit train --coordinator="127.0.0.1:$port" --processes="$processes" --process="$process" "$@")
  if ((process == 0)); then
    "${command[@]}" &
  else
    "${command[@]}" >"magvit_process_$process.log" 2>&1 &
  fi
  pids+=($!)
done

# The first that fails ends the rest. A wait that a signal interrupts is made again: they are saving.
status=0
for pid in "${pids[@]}"; do
  while kill -0 "$pid" 2>/dev/null; do
    wait "$pid" && break || result=$?
    kill -0 "$pid" 2>/dev/null || { status=$result; break; }
  done
done
exit "$status"
