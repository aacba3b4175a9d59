"""Three hundred required numbers."""

from typing import Literal

from pydantic import BaseModel, Field, create_model

FIELDS = [f"x{number}" for number in range(300)]
Row = create_model("Row", __doc__="One measurement.", **dict.fromkeys(FIELDS, (float, ...)))


class Prediction(BaseModel):
    """What was measured."""

    kind: Literal["a", "b", "c"]
    probabilities: list[float] = Field(min_length=3, max_length=3)
