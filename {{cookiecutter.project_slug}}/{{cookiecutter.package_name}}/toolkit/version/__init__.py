"""What one model version contains, and how it predicts and explains."""
