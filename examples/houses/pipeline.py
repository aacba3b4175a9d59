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
        # Simple words in one spelling are cut alike by scikit-learn and ONNX.
        (CountVectorizer(binary=True, min_df=5, lowercase=False, token_pattern="[a-zA-Z]+"), "description"),
        (make_pipeline(SimpleImputer(), PowerTransformer()), ["area", "rooms"]),
        # Of the date, the number of days: prices rise.
        (make_pipeline(SimpleImputer(), StandardScaler()), ["built", "sold_days"]),
    )
    return make_pipeline(columns, GammaRegressor(alpha=0.001, max_iter=1000))
