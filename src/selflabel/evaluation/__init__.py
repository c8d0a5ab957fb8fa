"""Read a finished labelling: against truth (metrics), and without it (diagnostics)."""
