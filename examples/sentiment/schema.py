"""Whether a guest liked the hotel: one field of free text."""

from typing import Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One review."""

    review: str = Field(min_length=1, max_length=5000, description="in English")


class Prediction(BaseModel):
    """The guest's opinion."""

    sentiment: Literal["negative", "positive"]
    probability: float = Field(ge=0, le=1, description="of a positive opinion")
