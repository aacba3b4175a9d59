"""A schema and a model that is easy to check: it doubles an amount."""

from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, Field


class Row(BaseModel):
    """A number that may be missing and a word."""

    amount: float | None = Field(ge=0, le=1000)
    code: Literal["007", "8"] = "8"


class Prediction(BaseModel):
    """A number and a vector."""

    answer: float
    pair: list[float] = Field(min_length=2, max_length=2)


class Double:
    """Doubles the amount, nothing counting as 0."""

    def predict(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Return both fields."""
        amount = frame["amount"].fillna(0).to_numpy()
        return {"answer": 2 * amount, "pair": [[value, -value] for value in amount]}
