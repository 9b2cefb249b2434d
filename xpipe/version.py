"""The one place that knows xpipe's version."""

__version__ = "0.1.0"
