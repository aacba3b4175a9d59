"""Which readings of a pump are unusual: a prediction without a label, since nobody marks readings."""

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One reading."""

    load: float = Field(description="in percent")
    temperature: float = Field(description="in degrees Celsius")
    pressure: float = Field(description="in bar")
    vibration: float = Field(ge=0, description="in millimetres per second")
    current: float = Field(ge=0, description="in amperes")


class Prediction(BaseModel):
    """Whether the reading is unusual. The data have no such column: the model learns from the readings alone."""

    outlier: bool
    score: float = Field(description="below 0 for outliers")
