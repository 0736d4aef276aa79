"""Fakes, each held to the same contract test as the real thing."""
