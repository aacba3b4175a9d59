"""Bills of materials (CycloneDX) of an environment, an image and the served versions, and their known vulnerabilities."""
