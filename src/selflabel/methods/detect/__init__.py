"""Detectors: what learns boxes with classes from those of a run."""
