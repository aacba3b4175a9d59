"""The package of this project; `model/` describes the model, everything else runs it."""
