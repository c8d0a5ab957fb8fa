"""MAPS TO BOXES AND MASKS: pure arithmetic on arrays; it knows no files, no networks and no methods."""
