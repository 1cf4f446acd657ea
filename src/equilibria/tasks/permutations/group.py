"""Finite groups small enough that an element fits a byte: alternating, symmetric and cyclic ones.

A permutation is written in one-line notation, `21345`, and these are listed in lexicographic order: element 0
is the identity. In the product a·b the right factor acts first: (a·b)(i) = a(b(i)).
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from equilibria.errors import DataError

LARGEST = 254  # elements: tokens 1 … 254 and the pad 0 fit uint8
POSSIBLE = f"A3, A4, A5, S2 … S5, or Z2 … Z{LARGEST}"


@dataclass(frozen=True)
class Group:
    """`symbols`: each element as it is written; `cayley` uint8 [size, size]: which element e_i·e_j is."""

    name: str
    symbols: tuple[str, ...]
    cayley: NDArray[np.uint8]

    @property
    def size(self) -> int:
        return len(self.symbols)

    @cached_property
    def known(self) -> dict[str, int]:
        """The element that a word stands for: its symbol, or its number."""
        return {str(index): index for index in range(self.size)} | {
            symbol: index for index, symbol in enumerate(self.symbols)
        }

    def illegal(self, word: str) -> str:
        """Why a word is no element."""
        kind, degree = self.name[0], len(self.symbols[0])
        if kind == "Z":
            return f"{word!r} is no element of {self.name}: write a number from 0 to {self.size - 1}"
        if kind == "A" and len(word) == degree and set(word) == set(self.symbols[0]):
            return (
                f"{word!r} is an odd permutation, and {self.name} has the even ones: take the group S{degree}"
            )
        return (
            f"{word!r} is no element of {self.name}: write the digits 1-{degree} in "
            f"{'an even' if kind == 'A' else 'any'} order, as in {self.symbols[1]}, "
            f"or an element's number from 0 to {self.size - 1}"
        )


@cache
def group(name: str) -> Group:
    """The group called `name`: A3-A5 and S2-S5 hold permutations, Zn the integers modulo n under addition.

    Raises DataError for any other name.
    """
    parts = re.fullmatch(r"([ASZ])([1-9]\d{0,2})", name)
    kind, degree = (parts[1], int(parts[2])) if parts else ("", 0)
    if not {"A": 3 <= degree <= 5, "S": 2 <= degree <= 5, "Z": 2 <= degree <= LARGEST}.get(kind, False):
        raise DataError(f"there is no group {name!r} here; there are {POSSIBLE}")
    if kind == "Z":
        index = np.arange(degree)
        return Group(
            name,
            tuple(map(str, range(degree))),
            ((index[:, None] + index) % degree).astype(np.uint8),
        )
    orders = [order for order in permutations(range(degree)) if kind == "S" or _even(order)]
    elements = np.array(orders)
    # entry [i, j] is the order e_i(e_j(·)), found again among all by its digits read as a number
    composed = elements[:, elements].reshape(len(elements), len(elements), degree)
    place = degree ** np.arange(degree)[::-1]
    cayley = np.searchsorted(elements @ place, composed @ place)  # ascending, as lexicographic order is
    symbols = tuple("".join(str(value + 1) for value in order) for order in orders)
    return Group(name, symbols, cayley.astype(np.uint8))


def _even(order: tuple[int, ...]) -> bool:
    """Whether a permutation has an even number of inversions."""
    return sum(one > other for one, other in combinations(order, 2)) % 2 == 0
