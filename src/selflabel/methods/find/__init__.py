"""Methods that localise: where the objects of a picture are."""
