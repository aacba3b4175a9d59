"""One row in, one prediction out: the schema, and the checks of JSON rows and DataFrames that follow from it."""
