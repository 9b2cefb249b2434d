"""Puts an organism together: the only place that names concrete backends and executors."""

from xpipe.assembly.organism import Organism as Organism
