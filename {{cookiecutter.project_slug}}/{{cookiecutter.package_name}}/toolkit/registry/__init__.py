"""The only room that knows MLflow: versions, runs, permissions, webhooks."""
