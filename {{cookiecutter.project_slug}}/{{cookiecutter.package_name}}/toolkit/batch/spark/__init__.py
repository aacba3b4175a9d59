"""The parts of a job on a cluster of Spark."""
