"""What drivers take and offer: from the catalogue of ARTIQ's own, or from their source, parsed, never imported.

`sources` finds and reads source files, `signatures` constructor arguments, `servers` the methods of a controller's
driver, `usage` what experiments ask for.
"""
