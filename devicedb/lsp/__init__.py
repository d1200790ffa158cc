"""`devicedb lsp`: a language server, so that editors check, explain and complete device databases."""
