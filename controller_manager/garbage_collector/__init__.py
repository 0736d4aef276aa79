"""Deletes what its owners left behind: the graph of owner references, what watches it, and what acts on it."""
