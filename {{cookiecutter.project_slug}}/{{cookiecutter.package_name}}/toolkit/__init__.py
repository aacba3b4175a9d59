"""Machinery shared by all commands; it is updated with the template and never edited for one model.

Its packages, the rooms, in their order; each imports only those above it:

    common        what every room may use: errors, console, sockets, names
    contract      one row in, one prediction out: schema, checks of JSON rows and DataFrames
    version       what a model version contains, and how it predicts and explains
    training      from labelled rows to a version: evaluation, gates, ONNX export, model card
    registry      the only package that imports MLflow: versions, runs, permissions, webhooks
    release       what should run, and where: store, the registry's release, targets
    monitoring    what is counted and logged of each prediction: drift counters, recorder, log
    batch         files of rows
    live          the current release in memory, for stream and service: followed, and its rows scored
    streaming     Kafka in, Kafka out: consumer, checks, predictions, dead letters
    serving       the REST service: routes, scoring, protocols, OpenAPI document, access control
    analysis      drift, quality and outliers over the prediction log; the report
    retraining    rules that decide, and what starts a training
    canary        promotion in steps, and the way back
    diagnosis     whether all of it is as it should be
"""
