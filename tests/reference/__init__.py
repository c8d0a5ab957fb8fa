"""The papers' formulas, written the slow, plain way, to hold the package against."""
