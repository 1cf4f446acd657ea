"""Arguments and options that several commands share."""

from typing import Annotated

import typer

from equilibria.errors import EquilibriaError

With = Annotated[
    str | None,
    typer.Option("--with", metavar="NAME", help="Shipped reasoner, checkpoint folder, or Hub id owner/name."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Compile = Annotated[
    bool, typer.Option("--compile", help="Through torch.compile: slower to begin, faster in long calls.")
]
Seed = Annotated[int, typer.Option(help="Seed of all random draws.")]


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """`1,4,16` → (1, 4, 16).

    Raises:
        EquilibriaError: something in it is not a positive whole number.
    """
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise EquilibriaError(f"{option} '{text}': write positive whole numbers, as in {option} 1,4,16")
    return numbers


def resolve_device(name: str) -> str:
    """The device to use: as named, or the best there is.

    Raises:
        EquilibriaError: there is no such device.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there.get(name, False):
        raise EquilibriaError(
            f"device '{name}' is not here; available: {', '.join(d for d in there if there[d])}"
        )
    return name
