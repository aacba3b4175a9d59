"""From labelled rows to a version: checks, evaluation, gates, ONNX export, model card, plots."""
