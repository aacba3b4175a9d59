"""Benchmarks: commands that print a table with peers and ratios, measured in one run."""
