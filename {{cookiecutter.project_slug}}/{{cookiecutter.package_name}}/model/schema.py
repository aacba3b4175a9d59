"""One row in, one prediction out: the contract for training, the service and batch scoring.

To make it yours, list the fields of your own rows in `Row`. A field is one of

    float, int, bool, Decimal         a number or a boolean; bounds with Field(ge=, gt=, le=, lt=)
    Literal["a", "b"] or a StrEnum    a category
    Annotated[str, "key"], also int   a name with many values, such as a zip code: new ones are scored too
    str                               a text, with Field(max_length=2000)
    date, datetime, time, timedelta   in ISO 8601; times are UTC
    list[float]                       a vector; its length with Field(min_length=64, max_length=64)

All may be missing: add `| None`. `description` shows in the API's documentation; docs/rows.md says more on each kind.

The first field of `Prediction` is the label: the model learns the column of that name in the data. A float label makes
a regression, any other a classification. If the fields after it are columns of the data too, and have its type, they
are labels as well; if the first field is none, there is no label, and the model learns from the features alone.

A classification may add `probability: float` (of the second of two classes, such as True), `probabilities: list[float]`
or `dict[str, float]` (of all classes, or of several bool labels) or `confidence: float` (the highest of them). Classes
are in the order of the `Literal` or enum, others ascending; some metrics of scikit-learn expect them sorted. The
model's own `predict` must return all other fields of `Prediction`. docs/outputs.md says more on each kind.
"""

from typing import Literal

from pydantic import BaseModel, Field


class Row(BaseModel):
    """One passenger, as known at boarding."""

    sex: Literal["female", "male"]
    age: float | None = Field(default=None, ge=0, le=120, description="in years")
    passenger_class: Literal["1st", "2nd", "3rd"]
    fare: float | None = Field(default=None, ge=0, le=1000, description="in pounds of 1912, for the whole ticket")
    port: Literal["Cherbourg", "Queenstown", "Southampton"] | None = Field(default=None, description="of embarkation")
    siblings_spouses: int = Field(default=0, ge=0, le=20, description="brothers, sisters and spouse aboard")
    parents_children: int = Field(default=0, ge=0, le=20, description="parents and children aboard")


class Prediction(BaseModel):
    """The prediction for one passenger."""

    survived: bool
    probability: float = Field(ge=0, le=1, description="of survival")
