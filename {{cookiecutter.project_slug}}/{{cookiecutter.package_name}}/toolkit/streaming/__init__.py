"""Kafka in, Kafka out: rows of a topic, scored by the same runtime as requests.

A message passes these modules, in this order:

    stream.py                      fetches it with others, a micro-batch, and at the end commits their offsets
    live/live_release.py           returns the version, by traffic weights and the message's key
    micro_batch.py                 checks and scores the rows, and makes a prediction or a dead letter of each message
    live/micro_batches.py          calls the model
    writer.py                      produces them, and waits until the brokers have acknowledged them
    monitoring/stream_counters.py  counts them

`connection.py` has what the clients share, `problems.py` says what is wrong with brokers and topics, and `health.py`
answers probes and Prometheus.
"""
