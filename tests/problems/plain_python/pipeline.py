"""A model without scikit-learn: it learns nothing, and answers every field of a prediction."""

import numpy as np
import pandas as pd


class Rule:
    """Paid for it, or travels light."""

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return seat, score and reason for each row."""
        paid, light = frame["fare"] == "flexible", frame["bags"] < 2
        return pd.DataFrame(
            {
                "seat": paid | light,
                "score": paid * 1.0 + light * 0.5,
                "reason": np.select([paid, light], ["paid", "light"], "no"),
            }
        )


def build() -> Rule:
    """Return the model."""
    return Rule()
