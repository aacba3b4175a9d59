"""What every room may use: errors, console, sockets, the state of files, and the names of aliases and tags.

`errors` and `names` need nothing but the standard library, since they are stored with every version.
"""
