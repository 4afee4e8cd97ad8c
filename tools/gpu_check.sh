#!/usr/bin/env bash
# Everything that a GPU is needed for, in one call of about ten minutes: the kernels' tests, and the benchmarks.
#
#   tools/gpu_check.sh [FOLDER]
#
# Needs a GPU, jax with CUDA, and this package (pip install -e '.[test,cuda]'). Writes to FOLDER, gpu_check by default:
# device.json, tests.log, bench_ops.jsonl, bench_models.json, bench_decoding.jsonl, a .log of each. What fails is said at the
# end, and does not keep the rest from running; the exit status is the number of parts that failed.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-gpu_check}
mkdir -p "$folder" || exit 2
unset XLA_FLAGS
export JAX_PLATFORMS=cuda PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

python - "$folder/device.json" <<'PYTHON' || exit 2
import json
import platform
import sys

import jax

try:
    device = jax.devices()[0]
except RuntimeError as error:
    sys.exit(f"no GPU that jax can use: {error}")
found = dict(
    device=device.device_kind, count=jax.device_count(), jax=jax.__version__, python=platform.python_version()
)
print(json.dumps(found))
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
PYTHON

failed=()
part() { # NAME SECONDS COMMAND...
  local name=$1 seconds=$2 start=$SECONDS status=0
  shift 2
  timeout --kill-after=10 "$seconds" "$@" 2>"$folder/$name.log" || status=$?
  printf '%-16s %4ds  %s\n' "$name" $((SECONDS - start)) "$([[ $status == 0 ]] && echo done || echo "FAILED ($status), see $folder/$name.log")"
  [[ $status == 0 ]] || failed+=("$name")
}

part tests 200 bash -c "python -m pytest -n 0 -m 'not aot' -k 'not mesh and not sharded and not devices' \
  tests/ops tests/nn/test_attention.py > '$folder/tests.log'"
part bench_ops 240 bash -c "python tools/bench_ops.py --json > '$folder/bench_ops.jsonl'"
part bench_models 200 python tools/bench_models.py --json="$folder/bench_models.json"
part bench_decoding 150 bash -c "python tools/bench_decoding.py --dtype=bfloat16 --json > '$folder/bench_decoding.jsonl'"

echo "results: $folder"
exit "${#failed[@]}"
