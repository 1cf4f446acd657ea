"""Where checkpoints are found: those that ship, folders, and the Hub."""

from importlib.resources import files
from pathlib import Path

from equilibria import checkpoint
from equilibria.errors import CheckpointError


def shipped_folder() -> Path:
    """Where shipped reasoners are: inside an installed package, or `checkpoints/` of a source tree."""
    inside = Path(str(files("equilibria"))) / "shipped"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "checkpoints"


def shipped_names() -> list[str]:
    """Reasoners in the package."""
    folder = shipped_folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / checkpoint.WEIGHTS).is_file())


def find_checkpoint(name: str | Path) -> Path:
    """The folder of a shipped reasoner, a checkpoint folder itself, or a Hub checkpoint, fetched.

    Raises:
        CheckpointError: there is none of that name.
    """
    if str(name) in shipped_names():
        return shipped_folder() / str(name)
    if Path(name).is_dir():
        return Path(name)
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return checkpoint.fetch(str(name))
    raise CheckpointError(
        f"no reasoner '{name}': shipped are {', '.join(shipped_names()) or 'none'}; "
        "or give a checkpoint folder, or a Hub id owner/name"
    )
