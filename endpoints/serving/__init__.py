"""The serving loop: an ASGI app over TCP on Trio, with HTTP/1.1 and WebSocket.

Ours are the listeners, the connection cap, every deadline, the way a connection ends and the
shutdown; Hypercorn parses and speaks the protocols (``_hypercorn.py`` says how and why). What
holds for every connection:

- Its faults are its own: they are logged in one line and never reach another connection.
- A send that is stuck can be cancelled, and is cut after ``write_timeout``.
- A client that leaves is noticed while its request is held, whatever it sent after the request.
- What it can make the server remember is bounded, and an unread body stops the reading.
"""

from forebay.endpoints.serving._app_tasks import CLIENT_GONE, ClientDisconnected
from forebay.endpoints.serving._options import ServingOptions
from forebay.endpoints.serving._serve import Waitable, serve, serve_stream
from forebay.endpoints.serving._state import ServingState

__all__ = [
    "CLIENT_GONE",
    "ClientDisconnected",
    "ServingOptions",
    "ServingState",
    "Waitable",
    "serve",
    "serve_stream",
]
