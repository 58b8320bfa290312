"""Networks: numbers to numbers. They know no kinds."""
