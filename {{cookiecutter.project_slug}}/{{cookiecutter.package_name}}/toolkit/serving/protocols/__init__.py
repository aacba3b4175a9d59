"""Protocols over the same scoring, one codec each: this project's own, MLflow's, and the Open Inference Protocol.

To add one: a module here with a `Codec` (`codec.py`); in `serving/app.py` its import, its paths in the table of
`Routes`, and the method that answers them; in `serving/openapi/` a module with its schemas and paths, which
`document()` includes; its paths of one plain name in `custom_endpoints.TAKEN`.
"""
