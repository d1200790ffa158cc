"""The rows, a module a subject. A module imports what it measures inside its functions, never at its top."""
