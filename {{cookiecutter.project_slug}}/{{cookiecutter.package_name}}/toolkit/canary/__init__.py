"""Promotion in steps: what versions count while they serve side by side, whether one is worse, and what follows."""
