"""What lives in a backend, as data: use cases for the command line and for embedding.

All but `collecting` and `dead_letters` only read. `glance` is what a run shows of itself; the other
modules look in from outside.
"""
