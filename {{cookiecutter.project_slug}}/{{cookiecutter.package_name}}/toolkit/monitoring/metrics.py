"""The metrics of the service; by version, summed over workers and replicas.

Declared here; a per-version series is created in `version_counters.py` and counted by `recorder.py`. Names of metrics
are an interface and stay: rejected requests are still `model_refused_requests`.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("model_requests", "Scoring requests by version and status code.", ["version", "code"])
ROWS = Counter("model_rows", "Rows scored, by version.", ["version"])
SECONDS = Histogram(
    "model_request_seconds",
    "Time to answer a scoring request, by version.",
    ["version"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
EXPLAINED_ROWS = Counter("model_explained_rows", "Rows explained, by version.", ["version"])
SHADOW_REQUESTS = Counter(
    "model_shadow_requests", "Requests that a shadow scored, by version and status code.", ["version", "code"]
)
REJECTED_REQUESTS = Counter(
    "model_refused_requests", "Requests rejected, by status code and reason.", ["code", "reason"]
)
FEEDBACK_ROWS = Counter(
    "model_feedback_rows",
    "Actual labels received, by version; of classes by predicted and actual class, and whether they are equal.",
    ["version", "predicted", "actual", "correct"],
)
ABSOLUTE_ERROR = Counter("model_feedback_absolute_error", "Sum of the absolute errors of a regression.", ["version"])
SQUARED_ERROR = Counter("model_feedback_squared_error", "Sum of the squared errors of a regression.", ["version"])
FEATURE_ROWS = Counter("model_feature_bin_rows", "Rows by version, feature and bin.", ["version", "feature", "bin"])
FEATURE_SHARE = Gauge(
    "model_feature_reference_share",
    "Share of the training rows in each bin of a feature.",
    ["version", "feature", "bin"],
    multiprocess_mode="mostrecent",
)
OUTPUT_ROWS = Counter("model_output_bin_rows", "Predictions by version, output and bin.", ["version", "output", "bin"])
OUTPUT_SHARE = Gauge(
    "model_output_reference_share",
    "Share of the predictions for the hold-out rows in each bin of an output.",
    ["version", "output", "bin"],
    multiprocess_mode="mostrecent",
)
OUTLIER_ROWS = Counter("model_outlier_rows", "Outliers: rows unlike the training rows, by version.", ["version"])
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
LOGGED_ROWS = Counter("model_log_rows", "Predictions written to the log.")
DROPPED_ROWS = Counter(
    "model_log_dropped_rows", "Predictions that could not be written to the log, by reason.", ["reason"]
)
LOADED_VERSIONS = Gauge("model_versions_loaded", "Versions in memory.", multiprocess_mode="mostrecent")
RELEASE_CREATED = Gauge(
    "model_release_created_seconds", "When the current release was created, Unix time.", multiprocess_mode="mostrecent"
)
STARTED = Gauge("model_service_started_seconds", "When the service began to count, Unix time.", multiprocess_mode="min")
# Here, since it is 0 for all workers as long as one of them has not set it.
STARTED.set_to_current_time()
SERVED_ALIASES = Gauge(
    "model_served", "1 for each alias of a served version.", ["version", "alias"], multiprocess_mode="mostrecent"
)
RELEASE_PROBLEM = Gauge(
    "model_release_problem", "1 while /readyz names a problem of the release.", multiprocess_mode="max"
)
