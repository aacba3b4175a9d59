"""Authentication of callers: a module for each kind of credentials, and the middleware in front of the service."""
