"""What this model is. This folder is yours: four files describe the model, `endpoints.py` adds routes of your own."""
