"""How much a bakery sells on a day: a date, what is known of the day, and sales of earlier days."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One day of one shop, as known the evening before."""

    day: date
    shop: Literal["harbour", "market", "station"]
    holiday: bool = False
    promotion: bool = False
    temperature: float | None = Field(default=None, ge=-40, le=50, description="forecast, in degrees Celsius")
    sold_1: float = Field(ge=0, description="sold the day before")
    sold_7: float = Field(ge=0, description="sold a week before")
    sold_14: float = Field(ge=0, description="sold two weeks before")
    mean_28: float = Field(ge=0, description="mean of the four weeks before")


class Prediction(BaseModel):
    """The number of loaves that the shop sells."""

    sold: float
