"""BYTES TO TENSORS: what an item's bytes become before any network sees them."""
