"""From the name that a client asks for to the targets that can serve it."""
