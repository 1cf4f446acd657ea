"""Of which iterations something large is kept, so that it fits a given memory."""

from equilibria.errors import EquilibriaError


def iterations(interval: int | None, depth: int) -> list[int]:
    """Ascending: every so many from 0 on, and the last; None: the last alone; 0: none."""
    if interval == 0:
        return []
    return sorted({depth, *(() if interval is None else range(0, depth, interval))})


def thinned(
    intervals: dict[str, int | None], sizes: dict[str, int], depth: int, memory: int
) -> dict[str, list[int]]:
    """The iterations of each of several things, of which all together fit the memory.

    While they do not, the interval of whatever takes most is doubled; when only beginning and end are left
    of it, the end stays.

    Args:
        intervals: of each, as in `iterations`: what is wished for.
        sizes: of each, the bytes that one iteration takes.
        depth: of the call.
        memory: bytes.

    Raises:
        EquilibriaError: not even the ends fit.
    """
    intervals = dict(intervals)
    while True:
        kept = {name: iterations(interval, depth) for name, interval in intervals.items()}
        takes = {name: len(kept[name]) * sizes[name] for name in kept}
        if sum(takes.values()) <= memory:
            return kept
        thick = [name for name, interval in intervals.items() if interval]
        if not thick:
            wanted = " and ".join(name for name in kept if kept[name])
            raise EquilibriaError(
                f"the last {wanted} of all that shall be recorded take {sum(takes.values()):,} bytes, and "
                f"the record allows {memory:,}: raise its memory, or record fewer problems or restarts"
            )
        most = max(thick, key=lambda name: takes[name])
        interval = intervals[most] or 0
        intervals[most] = 2 * interval if interval < depth else None
