"""Tuning: the search for parameters of the model, by cross-validation on the training rows."""
