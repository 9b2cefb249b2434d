"""Measurements anyone can run: `python -m benchmarks [CASE...]`. Ratios within one run, interleaved, medians."""
