"""Words and pairs of words, weighted: "not" alone says little, "not good" much."""

from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline


def build() -> Pipeline:
    """Return the pipeline, not yet fitted."""
    # ONNX cuts a text into words as scikit-learn does, if the pattern is as simple as this.
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, token_pattern="[a-zA-Z']+")
    return make_pipeline(make_column_transformer((words, "review")), LogisticRegression(C=10))
