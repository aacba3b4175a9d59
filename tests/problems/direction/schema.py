"""The direction of a price from the 14 days before."""

from typing import Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """Fourteen days, the latest first."""

    day_1: bool = Field(description="whether the price rose 1 day ago")
    day_2: bool = Field(description="whether the price rose 2 days ago")
    day_3: bool = Field(description="whether the price rose 3 days ago")
    day_4: bool = Field(description="whether the price rose 4 days ago")
    day_5: bool = Field(description="whether the price rose 5 days ago")
    day_6: bool = Field(description="whether the price rose 6 days ago")
    day_7: bool = Field(description="whether the price rose 7 days ago")
    day_8: bool = Field(description="whether the price rose 8 days ago")
    day_9: bool = Field(description="whether the price rose 9 days ago")
    day_10: bool = Field(description="whether the price rose 10 days ago")
    day_11: bool = Field(description="whether the price rose 11 days ago")
    day_12: bool = Field(description="whether the price rose 12 days ago")
    day_13: bool = Field(description="whether the price rose 13 days ago")
    day_14: bool = Field(description="whether the price rose 14 days ago")


class Prediction(BaseModel):
    """Where the price goes next."""

    direction: Literal["down", "up"]
    probability: float = Field(ge=0, le=1, description="of up")
