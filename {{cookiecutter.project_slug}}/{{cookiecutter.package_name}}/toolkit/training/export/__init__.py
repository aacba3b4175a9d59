"""Export to ONNX: the conversion, the check of its parity, and what to say where it fails."""
