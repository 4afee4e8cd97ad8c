"""Sizes that `tools/bench_ops.py` times: (rows N, bits K)."""

BENCHMARK = ((320, 10), (320, 12), (1280, 14), (1280, 18), (10240, 18))
