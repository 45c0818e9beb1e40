"""How soon works could end at best: a bound that no placement can beat, however clever.

It is the dual of the linear program in which works may be divided at will between the cards that can hold them. With
a price w for a second of each card, a work costs at least its seconds times price where that is least. All works
together cost what was made of the cards' time, so they take at least sum(least costs) / sum(prices) seconds. That holds
for any prices; the loads that they lead to show which are too low. Beside that, the longest work has to be made on one
card, at best on the fastest that can hold it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

ROUNDS = 400
"""Corrections of the prices. More raise the bound by less than a thousandth."""
FIRST_STEP = 0.5
"""Exponent of the first correction; later ones are smaller."""


class Amount(NamedTuple):
    """Works that take the same seconds on each card model, up to a factor."""

    seconds: Mapping[str, float]
    """Of one of them on each model that can hold it."""
    total: float
    """Sum of their factors; their number where these are 1."""
    longest: float = 1.0
    """The largest factor."""


def lower_bound_s(amounts: Sequence[Amount], capacity: Mapping[str, float], fastest: float = 1.0) -> float:
    """Seconds that `amounts` take at least.

    `capacity` is what the cards of each model do in a second, of their nominal speed together: their number, where all
    have that speed. `fastest` is the largest speed of one card, as a ratio to the nominal one.
    """
    usable = [amount for amount in amounts if amount.total > 0 and amount.seconds]
    longest = max((each.longest * min(each.seconds.values()) / fastest for each in usable), default=0.0)
    return max(longest, _divided_s(usable, {name: cards for name, cards in capacity.items() if cards > 0}))


def _divided_s(amounts: Sequence[Amount], capacity: Mapping[str, float]) -> float:
    """The bound from all works together, with the best prices that were found."""
    prices, best = dict.fromkeys(capacity, 1.0), 0.0
    for number in range(ROUNDS):
        total, loads = 0.0, dict.fromkeys(capacity, 0.0)
        for seconds, count, _ in amounts:
            model = min(seconds, key=lambda name: prices[name] * seconds[name])
            loads[model] += count * seconds[model]
            total += count * seconds[model] * prices[model]
        paid = sum(prices[name] * cards for name, cards in capacity.items())
        bound = total / paid
        best = max(best, bound)
        step = FIRST_STEP / (1 + number / 10)
        for name, cards in capacity.items():
            # A card that would work longer than the others is too cheap. Within bounds, because some get no work.
            wanted = min(2.0, max(0.5, loads[name] / cards / bound)) if bound else 1.0
            prices[name] *= wanted**step
    return best
