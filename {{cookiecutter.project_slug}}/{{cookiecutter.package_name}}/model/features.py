"""Features of your own, computed before the pipeline. This file may be deleted.

If it has a function `features`, the pipeline sees the columns that it returns: in training, in the service, in batch
scoring and in MLflow alike. It is given a DataFrame with the columns that `pipeline.py` names, and returns one with as
many rows, in the same order, and any columns: numbers, booleans or text. It travels with each version.

A row's values must follow from that row alone, since the service scores rows one by one: no mean, rank or shift over
the frame. Training checks this. What is learned from data belongs into the pipeline. An example:
"""

# import pandas as pd
#
#
# def features(frame: pd.DataFrame) -> pd.DataFrame:
#     """Return the columns of `Row`, with the size of the family in place of two numbers of relatives."""
#     family = 1 + frame["siblings_spouses"] + frame["parents_children"]
#     return frame.assign(family=family).drop(columns=["siblings_spouses", "parents_children"])
