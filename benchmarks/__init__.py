"""Measurements anyone can run: `python -m benchmarks [CASE...]`. Ratios within one run, interleaved, medians.

A case is a module whose docstring's first line says what it is, with `main(options) -> Iterable[Table]`; `CASES` in
`__main__` lists them. Common to all: interleaving and medians in `timing`, children and their peak memory in
`child`, a redis-server in `redis_server`, tables and their bars in `report`, the machine in `machine`.
"""
