"""PostgreSQL as input and output of a job: a query is read as a stream, a table written in one transaction."""
