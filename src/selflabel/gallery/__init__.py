"""THE PAGE: browse, name, merge, split. Serves a finished run to one person's browser; reads a run folder, never a model."""
