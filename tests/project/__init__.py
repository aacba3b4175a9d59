"""The real run of a generated project: one bake, one environment, every target of its Makefile."""
