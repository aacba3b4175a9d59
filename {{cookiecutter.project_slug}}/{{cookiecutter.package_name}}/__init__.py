"""The package of this project; `model/` describes the model, everything else runs it.

A command is the module of its name, such as `train.py` for `make train`. These set the toolkit up by the settings, for
several commands: access, aws_targets, container_image, estimators, project_checks, promotion, reconciliation,
retraining, targets, training_data and trust.
"""
