"""HTTP and websockets: a handler binds, asks, answers."""
