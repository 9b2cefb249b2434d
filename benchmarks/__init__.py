"""Measurements anyone can run: `python -m benchmarks [CASE...]`. Ratios within one run, interleaved, medians.

`cases` lists the cases. Most are a `case.Case`: sides that run in turns, each a `contestant` in processes of its own;
`roster` says who they are and how they are set up, `peers` is what runs in their processes, `organisms` what xpipe
runs. Some are a module of their own (`scale`, `workers`) with `main(options) -> Iterable[Table]`.

Common to all: interleaving and medians in `timing`, children and their peak memory in `child`, a redis-server in
`redis_server`, tables and their bars in `report`, the machine in `machine` and, moment by moment, in `calibration`.
"""
