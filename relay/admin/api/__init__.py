"""The JSON API, /api/v1: a route for each operation of `relay.operations.registry`, and the stream.

It knows HTTP and no operation by name: roles, masks, parameters and documents are the desk's.
"""
