"""What should run, and where: the store on disk, the release that the registry asks for, reconciliation, targets."""
