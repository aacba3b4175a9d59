"""A regression in which effects multiply: a view of the river adds 14 % to a price, not 30,000 to each."""

from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import GammaRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, StandardScaler


def build() -> Pipeline:
    """Return the pipeline, not yet fitted."""
    columns = make_column_transformer(
        # A zip code that training has not seen counts as an average one.
        (OneHotEncoder(handle_unknown="ignore"), ["kind", "energy", "zip_code"]),
        # ONNX cuts a text into words as scikit-learn does, if the pattern is as simple as this.
        (CountVectorizer(binary=True, min_df=5, token_pattern="[a-zA-Z]+"), "description"),
        (make_pipeline(SimpleImputer(), PowerTransformer()), ["area", "rooms"]),
        # Of the date, the number of days: prices rise.
        (make_pipeline(SimpleImputer(), StandardScaler()), ["built", "sold_days"]),
    )
    return make_pipeline(columns, GammaRegressor(alpha=0.001, max_iter=1000))
