"""Methods that give every item a label: one paper per file."""
