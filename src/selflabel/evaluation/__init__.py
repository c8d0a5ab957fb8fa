"""HOW GOOD IS A LABELLING: against truth (metrics, purity), without it (diagnostics), and its features (probes)."""
