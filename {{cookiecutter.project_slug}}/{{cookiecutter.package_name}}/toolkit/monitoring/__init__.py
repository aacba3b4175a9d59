"""What is counted and logged of each prediction."""
