"""Benchmarks: the load, the processes that are measured, the tables. Nothing else imports this package."""
