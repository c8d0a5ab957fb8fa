"""One script a published number: from a bare machine to a row of results/ and of README's tables."""
