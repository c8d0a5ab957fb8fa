"""Speed, one file a claim; each prints a ratio measured in one run."""
