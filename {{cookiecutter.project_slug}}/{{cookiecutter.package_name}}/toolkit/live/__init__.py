"""The current release in memory: versions loaded, verified and followed, and their rows scored."""
