"""Demand, whose level rises from year to year: later rows are no draw from earlier ones."""

from typing import Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One day in one shop."""

    days: int = Field(ge=0, description="since the shop opened")
    yesterday: float = Field(ge=0)
    shop: Literal["north", "south"]


class Prediction(BaseModel):
    """What is sold on that day."""

    sold: float
