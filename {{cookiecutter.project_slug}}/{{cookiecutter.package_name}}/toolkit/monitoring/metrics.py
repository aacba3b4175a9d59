"""What the service counts: by version, added up over workers and replicas."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

#: Classes that are counted by name; those of a label with more are counted together.
NAMED_CLASSES = 20

REQUESTS = Counter("model_requests", "Scoring requests by version and status code.", ["version", "code"])
ROWS = Counter("model_rows", "Rows scored, by version.", ["version"])
SECONDS = Histogram(
    "model_request_seconds",
    "Time to answer a scoring request, by version.",
    ["version"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
EXPLAINED = Counter("model_explained_rows", "Rows explained, by version.", ["version"])
SHADOWS = Counter("model_shadow_requests", "Requests scored in the shadow, by version and status.", ["version", "code"])
REFUSED = Counter("model_refused_requests", "Requests refused, by status code and reason.", ["code", "reason"])
FEEDBACK = Counter(
    "model_feedback_rows",
    "True labels received, by version; of classes also what was predicted, and whether it was right.",
    ["version", "predicted", "actual", "correct"],
)
ABSOLUTE_ERROR = Counter("model_feedback_absolute_error", "Sum of absolute errors, of numbers.", ["version"])
SQUARED_ERROR = Counter("model_feedback_squared_error", "Sum of squared errors, of numbers.", ["version"])
FEATURE_ROWS = Counter(
    "model_feature_bin_rows", "Rows by version, feature and bin of its value.", ["version", "feature", "bin"]
)
FEATURE_SHARE = Gauge(
    "model_feature_reference_share",
    "Share of the training rows in each bin of a feature.",
    ["version", "feature", "bin"],
    multiprocess_mode="mostrecent",
)
OUTPUT_ROWS = Counter(
    "model_output_bin_rows", "Predictions by version, output and bin of its value.", ["version", "output", "bin"]
)
OUTPUT_SHARE = Gauge(
    "model_output_reference_share",
    "Share of the predictions for the hold-out rows in each bin of an output.",
    ["version", "output", "bin"],
    multiprocess_mode="mostrecent",
)
OUTLIERS = Counter("model_outlier_rows", "Rows that are unlike those of the training, by version.", ["version"])
OUTLIER_SHARE = Gauge(
    "model_outlier_reference_share",
    "Share of outliers among the hold-out rows.",
    ["version"],
    multiprocess_mode="mostrecent",
)
REFERENCE_QUALITY = Gauge(
    "model_reference_quality",
    "Quality on the hold-out rows, by version and metric.",
    ["version", "metric"],
    multiprocess_mode="mostrecent",
)
LOGGED = Counter("model_log_rows", "Predictions written to the log.")
LOG_DROPPED = Counter("model_log_dropped_rows", "Predictions that the log did not take, by reason.", ["reason"])
LOADED = Gauge("model_versions_loaded", "Versions in memory.", multiprocess_mode="mostrecent")
RELEASED = Gauge(
    "model_release_created_seconds", "When the served release was made, Unix time.", multiprocess_mode="mostrecent"
)
SERVED = Gauge(
    "model_served", "1 for each alias of a served version.", ["version", "alias"], multiprocess_mode="mostrecent"
)
PROBLEM = Gauge("model_release_problem", "1 while /readyz names a problem of the release.", multiprocess_mode="max")
