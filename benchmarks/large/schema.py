"""Twenty columns of the kinds that tables have."""

from typing import Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One loan, as known when it is applied for."""

    amount: float = Field(ge=0)
    income: float | None = Field(default=None, ge=0)
    debt: float = Field(ge=0)
    rate: float = Field(ge=0, le=1)
    balance: float
    spending: float
    savings: float | None = None
    volatility: float
    score_1: float
    score_2: float
    score_3: float
    score_4: float
    age: int = Field(ge=0, le=150)
    accounts: int = Field(ge=0)
    months: int | None = Field(default=None, ge=0)
    owner: bool
    purpose: Literal["car", "education", "home", "medical", "other"]
    region: Literal["north", "east", "south", "west"]
    channel: Literal["branch", "phone", "web"] | None = None
    employment: Literal["employed", "retired", "self-employed", "unemployed"]


class Prediction(BaseModel):
    """Whether the loan is paid back."""

    repaid: bool
    probability: float = Field(ge=0, le=1)
