"""What should run, and where: the store on disk, the state that the registry desires, the targets."""
