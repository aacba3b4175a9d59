"""Is everything as it should be? One module for each part of what a project needs."""
