"""States that belong together: single linkage, at a radius that the data suggest."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

RESOLUTION = 1e-5
"""States nearer than this share of their own length are one state: float32 tells no more after many sums."""


@dataclass(frozen=True)
class Tree:
    """A minimum spanning tree of some ends: single linkage merges in the order of its edges.

    Attributes:
        edges: int64 `[ends − 1, 2]`, the ends that each edge joins.
        lengths: float64 `[ends − 1]`; infinite where nothing shorter joins two parts.
    """

    edges: Tensor
    lengths: Tensor

    def groups(self, radius: float) -> Tensor:
        """Ends joined by edges of at most a radius: int64 `[ends]`, the largest group 0.

        Groups of one size are in the order of their first members.
        """
        count = len(self.lengths) + 1
        first, second = self.edges[self.lengths <= radius].T.numpy()
        joined = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
        _, found = connected_components(joined, directed=False)
        _, seen, inverse, sizes = np.unique(found, return_index=True, return_inverse=True, return_counts=True)
        order = np.lexsort((seen, -sizes))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return torch.from_numpy(place[inverse]).long()

    def widest_gap(self, floor: float, ceiling: float) -> float:
        """A radius between distances within attractors and distances between them.

        It is put in the middle of the widest gap of the edges on a log scale, where two marks are known
        without looking at other restarts: at `floor` and below, two ends may be one attractor seen through
        path noise and incomplete settling; at `ceiling`, the size of the states, they cannot be. The marks
        count as edges. So one attractor alone is not split (all edges low, the widest gap above them), nor
        are attractors merged of which every restart reached another one (all edges high, the widest gap
        below them).

        Args:
            floor: distance that two ends of one attractor may have.
            ceiling: distance beyond which two ends are never one.
        """
        floor = max(floor, RESOLUTION * ceiling)
        if not floor < ceiling:
            return ceiling
        marks = np.log(np.sort([floor, *np.clip(self.lengths.numpy(), floor, ceiling), ceiling]))
        widest = int(np.argmax(np.diff(marks)))
        return math.exp((marks[widest] + marks[widest + 1]) / 2)


def spanning_tree(apart: Tensor) -> Tree:
    """Of the ends with distances `[ends, ends]`, infinite for those that cannot be one (Prim 1957)."""
    count = len(apart)
    reach, through = apart[0].double(), torch.zeros(count, dtype=torch.int64)
    outside = torch.ones(count, dtype=torch.bool)
    outside[0] = False
    edges, lengths = torch.zeros(count - 1, 2, dtype=torch.int64), torch.zeros(count - 1, dtype=torch.float64)
    for place in range(count - 1):
        # Finite numbers in place of infinity, so that what is outside still comes before what is not.
        nearest = int(torch.where(outside, reach.clamp(max=1e300), math.inf).argmin())
        edges[place, 0], edges[place, 1], lengths[place] = through[nearest], nearest, reach[nearest]
        outside[nearest] = False
        nearer = apart[nearest] < reach
        reach, through = torch.where(nearer, apart[nearest], reach), torch.where(nearer, nearest, through)
    return Tree(edges, lengths)
