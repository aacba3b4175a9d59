"""What every room may use: errors that people can mend, the console, sockets, the names of aliases and tags."""
