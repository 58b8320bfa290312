"""What a row is to a model: kinds, schema, bins, moments."""
