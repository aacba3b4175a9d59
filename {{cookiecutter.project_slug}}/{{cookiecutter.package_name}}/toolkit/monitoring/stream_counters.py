"""What is counted of a stream: messages, what became of them, how far behind it is, and how long they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from . import stream_metrics as metrics

#: What a message that is not scored is counted under.
REASONS = ("contract", "format", "size", "failure")


class StreamCounters:
    """The metrics of one stream; every series of a message exists from the start with the value 0."""

    def __init__(self) -> None:
        self.messages = self.rejected = 0
        #: Messages behind by (topic, partition), of the partitions that this process reads.
        self.lag: dict[tuple[str, int], int] = {}
        for reason in REASONS:
            metrics.REJECTED.labels(reason)
        metrics.PROBLEM.set(0)

    def add(self, reasons: Iterable[str], seconds: float) -> None:
        """Count messages that are done, by the reason of their rejection, "" for none.

        `seconds` is the age of the oldest when its prediction was acknowledged.
        """
        counts = Counter(reasons)
        total = sum(counts.values())
        metrics.MESSAGES.inc(total)
        metrics.SECONDS.observe(max(seconds, 0))
        rejected = total - counts.pop("", 0)
        for reason, count in counts.items():
            metrics.REJECTED.labels(reason).inc(count)
        self.messages, self.rejected = self.messages + total, self.rejected + rejected

    def set_lag(self, lag: dict[tuple[str, int], int]) -> None:
        """Set how far behind the partitions are that this process reads now."""
        for topic, partition in self.lag.keys() - lag.keys():
            metrics.LAG.remove(topic, partition)
        for (topic, partition), behind in lag.items():
            metrics.LAG.labels(topic, partition).set(behind)
        self.lag = lag

    def set_problem(self, exists: bool) -> None:
        """Set whether brokers or topics have a problem."""
        metrics.PROBLEM.set(exists)
