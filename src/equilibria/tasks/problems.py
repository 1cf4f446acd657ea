"""Problems of one task as rows of tokens."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equilibria.errors import DataError


@dataclass(frozen=True)
class Problems:
    """Problems of one task, a row each.

    `inputs` uint8 [count, tokens]; `labels` uint8 [count, tokens] (0: a cell that is not scored) or None;
    `sources`: where each problem comes from; `ratings` float32 [count], how hard each is, or None;
    `identifiers` int64 [count], the puzzle identity of each where problems do not share one rule, or None.
    """

    inputs: Tensor
    labels: Tensor | None
    sources: tuple[str, ...]
    ratings: Tensor | None = None
    identifiers: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.inputs)
        if self.labels is not None and self.labels.shape != self.inputs.shape:
            raise DataError(f"labels {list(self.labels.shape)} must have the shape {list(self.inputs.shape)}")
        if len(self.sources) != count:
            raise DataError(f"{len(self.sources)} sources for {count} problems: give one a problem")
        if self.ratings is not None and self.ratings.shape != (count,):
            raise DataError(f"ratings {list(self.ratings.shape)} for {count} problems: give one a problem")
        if self.identifiers is not None and self.identifiers.shape != (count,):
            raise DataError(
                f"identifiers {list(self.identifiers.shape)} for {count} problems: give one a problem"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, key: slice | Tensor) -> "Problems":
        """The rows of a slice, of an index tensor [n] or of a mask [count]."""
        rows = torch.arange(len(self))[key]
        return Problems(
            self.inputs[rows],
            None if self.labels is None else self.labels[rows],
            tuple(self.sources[row] for row in rows.tolist()),
            None if self.ratings is None else self.ratings[rows],
            None if self.identifiers is None else self.identifiers[rows],
        )

    def fingerprint(self) -> str:
        """SHA-256 over inputs, labels and identifiers where there are any, in hexadecimal: the same for equal
        problems in equal order."""
        digest = hashlib.sha256()
        for tensor in (self.inputs, self.labels):
            digest.update(b"none" if tensor is None else str(tuple(tensor.shape)).encode())
            if tensor is not None:
                digest.update(tensor.cpu().contiguous().numpy().data)
        if self.identifiers is not None:
            digest.update(self.identifiers.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def contradicted(self) -> tuple[int, int]:
        """How many inputs have several different labels, and how many inputs there are, each counted once.

        The same input under another identity is another one.
        """
        rows = self.inputs.numpy()
        if self.identifiers is not None:
            rows = np.concatenate([rows, self.identifiers.numpy()[:, None].view(np.uint8)], 1)
        whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0]
        _, first, which = np.unique(whole, return_index=True, return_inverse=True)
        if self.labels is None:
            return 0, len(first)
        labels = self.labels.numpy()
        differs = (labels != labels[first[which]]).any(1)
        return len(np.unique(which[differs])), len(first)

    @staticmethod
    def concatenate(parts: "Sequence[Problems]") -> "Problems":
        """All rows of `parts` in order. Ratings stay where every part has them; labels and identifiers in all
        or none."""
        if not parts:
            raise DataError("there is nothing to concatenate: give at least one set of problems")
        labels = [part.labels for part in parts if part.labels is not None]
        ratings = [part.ratings for part in parts if part.ratings is not None]
        identifiers = [part.identifiers for part in parts if part.identifiers is not None]
        if len(labels) not in (0, len(parts)):
            raise DataError("labelled and unlabelled problems cannot be concatenated: label all or none")
        if len(identifiers) not in (0, len(parts)):
            raise DataError("problems with and without identifiers cannot be concatenated: give all or none")
        return Problems(
            torch.cat([part.inputs for part in parts]),
            torch.cat(labels) if labels else None,
            tuple(source for part in parts for source in part.sources),
            torch.cat(ratings) if len(ratings) == len(parts) else None,
            torch.cat(identifiers) if identifiers else None,
        )
