"""Building blocks with no idea of iteration."""
