"""From labelled rows to a version: data checks, fitting, ONNX export, evaluation, gates, model card, plots."""
