"""What every room may use: errors, console, redaction, sockets, the state of files, the names of aliases and tags.

`errors`, `names` and `redaction` need nothing but the standard library, since they are stored with every version.
"""
