"""Who owns what while it runs; Ray lives here only."""
