"""aiohttp at the socket: it knows connections, requests and responses, and no webhook.

server  listener → acceptor → fast_protocol or plain_protocol → a `Respond` of ours or an aiohttp application
client  client → fast_client → fast_connector → fast_connection (over tolerant_parser), or plain_client

Only tolerant_parser and the fast halves touch private names of aiohttp; `aiohttp_version` says which run.
"""
