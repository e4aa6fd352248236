"""The wire: what requests and answers look like, and their mapping to what the rules know."""
