"""A rule written by hand: who gets a seat."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field


class Fare(StrEnum):
    """What was paid."""

    economy = "economy"
    flexible = "flexible"


class Row(BaseModel):
    """One traveller."""

    fare: Fare
    bags: int = Field(default=0, ge=0, le=5)
    age: float | None = Field(default=None, gt=0)


class Prediction(BaseModel):
    """Whether there is a seat, and why."""

    seat: bool
    score: float
    reason: Literal["paid", "light", "no"]
