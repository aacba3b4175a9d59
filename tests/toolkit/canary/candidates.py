"""A schema, a champion, and challengers that are slow, fail, predict worse, or are fine."""

import time
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field


class Row(BaseModel):
    """An amount."""

    amount: float = Field(ge=0, le=1000)


class Prediction(BaseModel):
    """Whether it is large."""

    size: Literal["large", "small"]


def size(amount: Any) -> Any:
    """Return what amounts really are."""
    return np.where(np.asarray(amount) > 500, "large", "small")


class Fine:
    """Always right."""

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return the sizes."""
        return size(frame["amount"])


class Slow(Fine):
    """Right, after a while."""

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return the sizes late."""
        time.sleep(0.05)
        return super().predict(frame)


class Failing(Fine):
    """Fails on the largest amounts, of which none is among the examples."""

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return the sizes, or raise."""
        if (frame["amount"] > 800).any():
            raise ValueError("too large for me")
        return super().predict(frame)


class Worse(Fine):
    """Takes too much for large."""

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return the sizes of larger amounts."""
        return size(frame["amount"] + 250)
