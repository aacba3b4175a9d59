"""Which card payments are fraudulent: a time of day, a country among many, and a rare outcome."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One payment, as known when the bank is asked."""

    paid: datetime = Field(description="by the clock where the card is from")
    amount: float = Field(gt=0, le=1_000_000, description="in euros")
    trade: Literal["fuel", "games", "grocery", "jewels", "travel"]
    country: Annotated[str, "key"] = Field(description="of the shop, in two letters")
    online: bool
    card_days: int | None = Field(default=None, ge=0, description="days since the card was issued")
    last_hour: int = Field(default=0, ge=0, description="payments in the hour before")


class Prediction(BaseModel):
    """Whether to stop the payment."""

    fraud: bool
    probability: float = Field(ge=0, le=1, description="of fraud")
