"""Checks a device database: from a file to a report of findings.

`located` is the database with the place of every value, `laboratory` what rules ask about it, `engine` puts file,
run and rules together, `config` holds the settings, `ignores` the inline comments.
"""
