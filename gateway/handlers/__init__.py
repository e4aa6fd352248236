"""What the routes do, a module per resource."""
