"""Files of rows, scored by the same runtime as requests."""
