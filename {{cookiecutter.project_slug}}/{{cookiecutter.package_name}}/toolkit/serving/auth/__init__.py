"""Authentication of callers: a module for each kind of credentials, and the middleware before the service.

`shared/access.py` of the project chooses the `Authenticator` (`policy.py`) by the setting AUTH.
"""
