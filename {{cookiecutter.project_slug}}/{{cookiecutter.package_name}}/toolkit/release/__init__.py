"""What should run, and where: the store on disk, the registry's release, reconciliation, targets."""
