"""Protocols over the same scoring, one module each: this project's own, MLflow's, and the Open Inference Protocol."""
