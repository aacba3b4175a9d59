"""Machinery shared by all commands; it is updated with the template and never edited for one model."""
