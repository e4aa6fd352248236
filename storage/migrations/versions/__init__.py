"""The migrations, oldest first; none is changed once it was released."""
