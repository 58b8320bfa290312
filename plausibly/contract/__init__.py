"""The promises of every model, measured."""
