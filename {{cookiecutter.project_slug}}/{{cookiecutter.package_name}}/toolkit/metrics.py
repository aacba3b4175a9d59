"""What the service counts: by version, added up over workers and replicas."""

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
EXPLAINED = Counter("model_explained_rows", "Rows explained, by version.", ["version"])
SHADOWS = Counter("model_shadow_requests", "Requests scored in the shadow, by version and status.", ["version", "code"])
PROBLEM = Gauge("model_release_problem", "1 while the newest release cannot be served.", multiprocess_mode="max")
