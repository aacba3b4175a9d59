"""Images as vectors: which digit was written."""

from typing import Annotated

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One image, eight by eight."""

    pixels: list[Annotated[float, Field(ge=0, le=16)]] = Field(min_length=64, max_length=64, description="row by row")


class Prediction(BaseModel):
    """The digit, and how likely each of the ten is."""

    digit: int = Field(ge=0, le=9)
    confidence: float
    probabilities: list[float] = Field(min_length=10, max_length=10)
