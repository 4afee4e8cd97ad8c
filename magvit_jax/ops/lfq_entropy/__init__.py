"""Exact entropy terms of lookup-free quantization; see `api.lfq_entropy`."""
