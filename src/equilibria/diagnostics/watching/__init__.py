"""Restarts of one problem as one watches them: what each moment holds, and how it is shown and drawn."""

from equilibria.diagnostics.watching.scene import Board, Mark, Scene, scene_of

__all__ = ["Board", "Mark", "Scene", "scene_of"]
