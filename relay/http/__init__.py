"""aiohttp at the socket: listeners, protocol, client, connector. The only room that may touch its private names."""
