"""The REST service: routes, protocols, the OpenAPI document, access control."""
