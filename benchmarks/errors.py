"""How a measurement fails."""


class Failed(Exception):
    """A case could not be measured, or what it measured did something wrong; the text says why."""
