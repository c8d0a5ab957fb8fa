"""Take the labels away: one small file a format."""
