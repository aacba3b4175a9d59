"""What this model is. This folder is yours: four files describe the model.

`features.py` may compute columns before the pipeline, `endpoints.py` may add routes of your own.
"""
