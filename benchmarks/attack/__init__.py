"""Attacks on the whole product, seeded and counted: `python -m benchmarks.attack`."""
