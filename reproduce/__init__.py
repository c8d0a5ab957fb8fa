"""One script for each published number: from the data to a row of results/ and of the documents' tables."""
