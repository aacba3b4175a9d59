"""Endpoints of your own, beside `/predict`. This file may be deleted.

Each `async def` is a route: `POST /<its name>`. Its parameters are the fields of the request's JSON object, checked
against their types; types and docstring show in Swagger UI. Other functions are helpers. Two things are special:

    predict             not a field of the request: a function that scores rows as `POST /predict` does. It returns, for
                        each row, a dict with the fields of `Prediction`, the `id` and the `version`.
    raise ValueError    answers 400 with the error's text; any other error is a 500, and its traceback is logged.

An example, `POST /labels` with {"rows": [{...}, {...}]}:
"""

# from .schema import Row
#
#
# async def labels(rows: list[Row], predict) -> list[bool]:
#     """Return the labels alone."""
#     return [prediction["survived"] for prediction in await predict(rows)]
