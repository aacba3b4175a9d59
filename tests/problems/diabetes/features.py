"""What two figures do together."""

import pandas as pd


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the figures, and the product of body mass and blood pressure."""
    return frame.assign(bmi_bp=frame["bmi"] * frame["bp"])
