"""When a model is trained again: rules over an analysis, and what starts a training."""
