"""The formulas of the papers, written plainly, that the package is compared with."""
