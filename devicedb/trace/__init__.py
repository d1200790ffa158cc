"""Runs a device database under an instrumented syntax tree, so that every value knows the line that made it.

`instrument` rewrites the tree, `tags` are the constants it plants, `recorder` is what the rewritten code calls,
`imports` does the same to the siblings that the file imports, `picture` turns the result into JSON for the
parent process. Nothing here is imported by the process that checks: it runs in the child of `devicedb.sandbox`.
"""
