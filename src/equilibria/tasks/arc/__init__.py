"""ARC: puzzles that say their rule by examples (ARC-AGI-1 and -2, ConceptARC, Mini-ARC)."""

from equilibria.tasks.arc.task import Arc

__all__ = ["Arc"]
