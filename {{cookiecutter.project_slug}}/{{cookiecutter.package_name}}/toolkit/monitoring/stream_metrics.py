"""The metrics of a stream, which has those of its versions in `metrics.py` too; the service does not export them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("model_stream_messages", "Messages of a stream that were scored or rejected.")
REJECTED = Counter(
    "model_stream_rejected_messages", "Messages in the dead-letter topic, by the reason of the rejection.", ["reason"]
)
LAG = Gauge("model_stream_lag", "Messages that wait in a partition of the topic of rows.", ["topic", "partition"])
SECONDS = Histogram(
    "model_stream_seconds",
    "Time from a message's timestamp until its prediction is acknowledged; of the oldest in each micro-batch.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600, 3600),
)
PROBLEM = Gauge("model_stream_problem", "1 while a stream reaches no brokers, or not its topics.")
