"""What several commands share: the toolkit, set up by the settings and by `model/`."""
