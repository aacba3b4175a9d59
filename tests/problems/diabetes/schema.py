"""A regression: how far the disease has progressed after a year."""

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One patient; all figures are centred and scaled."""

    age: float
    sex: float
    bmi: float = Field(description="body mass index")
    bp: float = Field(description="average blood pressure")
    s1: float
    s2: float
    s3: float
    s4: float
    s5: float
    s6: float


class Prediction(BaseModel):
    """The disease's progression."""

    progression: float
