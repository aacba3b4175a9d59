"""What this model is: the four files of this folder are yours to rewrite."""
