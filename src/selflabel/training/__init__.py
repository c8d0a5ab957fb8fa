"""One training loop for every method, its view of the data, checkpoints, and ranks under torchrun."""
