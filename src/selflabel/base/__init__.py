"""WHAT EVERYTHING STANDS ON: errors, files, the machine and the settings."""
