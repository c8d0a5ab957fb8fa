"""THE PRODUCT: the run folder, where its items are, and their small pictures."""
