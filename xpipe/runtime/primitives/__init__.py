"""The system listeners: Buffer and Sequence. Their handlers return steps, not responses."""
