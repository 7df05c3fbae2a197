"""`order: entity`: of the deliveries of a target that share a key only the oldest pending one is ever due.

The key is `routes.plan`'s: account, entity and id. A delivery behind another is blocked: pending, without a due time.
It is blocked when it is inserted or replayed, and unblocked when the one before it is settled; each of these
holds the `locks` of the keys.
"""


def has_older(delivery: str) -> str:
    """SQL: whether another delivery with target and key of `delivery` is pending; false without a key.

    A scalar subquery with a limit: written as `exists` the planner hashed all that is pending once there was a backlog.
    """
    return (
        f"case when {delivery}.key is null then false else (select true from deliveries older"
        f" where older.target = {delivery}.target and older.key = {delivery}.key and older.state = 'pending' limit 1)"
        " is not null end"
    )
