"""The REST service: routes, protocols, the OpenAPI document, access control.

A request `POST /predict` passes these modules, in this order:

    auth/middleware.py         rejects it unless its credentials are valid
    app.py                     finds its route, or passes it on to BentoML's routes
    asgi.py                    reads the body, up to the size in limits.py
    scoring.py                 calls the next three, and answers with the predictions or the error
    live/live_release.py       returns the version, by number, alias or traffic weights
    protocols/predict.py       decodes the rows, and at the end encodes the predictions, or the error with errors.py
    live/micro_batches.py      scores the rows, together with those of other requests
    monitoring/recorder.py     counts and logs the request, after the answer
"""
