"""What a house or flat sells for: numbers that may be missing, a date, a zip code and free text."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One sale, as known when it is advertised."""

    sold: date = Field(description="day of the sale")
    zip_code: Annotated[str, "key"] = Field(description="five digits; those of villages may be new to the model")
    kind: Literal["apartment", "bungalow", "detached", "terraced"]
    area: float = Field(gt=0, le=2000, description="in square metres")
    rooms: int | None = Field(default=None, ge=1, le=50)
    built: int | None = Field(default=None, ge=1500, le=2100, description="year")
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None = Field(default=None, description="efficiency class")
    description: str | None = Field(default=None, max_length=2000, description="text of the advertisement")


class Prediction(BaseModel):
    """The price that such a sale brings."""

    price: float
