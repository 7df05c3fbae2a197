"""What targets ask to have beside their events: held events of the store -> cards of the API -> back to the store.

enricher   gathers events that are held, has their cards fetched, records what came
fetch      cards by their numbers: of the cache, in one list, or one by one
assemble   an event and the cards -> its `enriched`
"""
