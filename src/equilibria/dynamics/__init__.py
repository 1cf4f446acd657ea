"""Fixed-point mathematics with no idea of networks."""
