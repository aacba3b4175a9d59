"""Bills of materials (CycloneDX) of environments, images and served versions; their known vulnerabilities."""
