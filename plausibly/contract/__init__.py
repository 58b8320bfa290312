"""What every model promises, measured."""
