"""A field with 500 categories, of which a class follows."""

from typing import Literal

from pydantic import BaseModel

PRODUCTS = tuple(f"product {number:03}" for number in range(500))


class Row(BaseModel):
    """One order."""

    product: Literal[PRODUCTS]
    second: Literal[PRODUCTS] | None = None
    amount: float


class Prediction(BaseModel):
    """Whether it is returned."""

    returned: bool
    probability: float
