"""The real run of a generated project: one bake, one environment, every word of its Makefile."""
