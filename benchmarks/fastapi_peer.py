"""The endpoint that most teams write: FastAPI, a request model, a DataFrame, a pickled pipeline."""

import os
from typing import Any, Literal

import mlflow
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()
model = mlflow.sklearn.load_model(os.environ["PEER_MODEL"])


class Row(BaseModel):
    """One passenger."""

    sex: Literal["female", "male"]
    age: float | None = Field(default=None, ge=0, le=120)
    passenger_class: Literal["1st", "2nd", "3rd"]
    fare: float | None = Field(default=None, ge=0, le=1000)
    port: Literal["Cherbourg", "Queenstown", "Southampton"] | None = None
    siblings_spouses: int = Field(default=0, ge=0, le=20)
    parents_children: int = Field(default=0, ge=0, le=20)


@app.post("/predict")
def predict(rows: list[Row]) -> list[dict[str, Any]]:
    """Return survival and its probability for each row."""
    frame = pd.DataFrame([row.model_dump() for row in rows])
    chances = model.predict_proba(frame)[:, 1]
    return [{"survived": bool(chance > 0.5), "probability": float(chance)} for chance in chances]
