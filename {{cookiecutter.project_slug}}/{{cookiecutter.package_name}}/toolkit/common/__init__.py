"""What every room may use: error classes, console output, sockets, and the names of aliases and tags.

`errors` and `names` need nothing but the standard library, since they are stored with every version.
"""
