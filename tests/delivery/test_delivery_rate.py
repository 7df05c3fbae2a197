"""`relay.delivery.delivery_rate`: totals at instants -> how many a second within the last minute."""

from relay.delivery.delivery_rate import DeliveryRate


def test_the_rate_is_that_of_the_last_minute() -> None:
    rate = DeliveryRate()
    assert rate.update(100.0, 7) == 0.0, "what was delivered before the first look has no time"
    assert rate.update(110.0, 27) == 2.0
    assert [rate.update(110.0 + second, 27) for second in (10, 49)] == [1.0, 0.34]
    assert rate.update(171.0, 27) == 0.0
    assert rate.update(172.0, 89) == 1.0, "a minute or a little more"
