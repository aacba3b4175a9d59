"""What the prediction log and the labels show of a model: drift, quality, outliers, traffic; and the report of it."""
