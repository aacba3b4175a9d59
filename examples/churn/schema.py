"""Which customers leave: 300 numbers, so the fields are made in a loop."""

from pydantic import BaseModel, Field, create_model

COUNTERS = ["logins", "searches", "orders", "returns", "messages", "reviews"]
COUNTERS += ["vouchers", "invites", "complaints", "payments", "saves", "shares"]
WEEKS = 25

FIELDS = {f"{name}_{week}": float | None for name in COUNTERS for week in range(1, WEEKS + 1)}

Row = create_model(
    "Row",
    __doc__="One customer: how often they did each of twelve things, week by week; week 1 is the last one.",
    **{name: (kind, Field(default=None, ge=0)) for name, kind in FIELDS.items()},
)


class Prediction(BaseModel):
    """Whether the customer leaves."""

    left: bool
    probability: float = Field(ge=0, le=1, description="of leaving")
