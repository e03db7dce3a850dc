"""Questions about the product, each answered by one table."""
