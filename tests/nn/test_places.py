"""Where a token is: rotary encodings, learned positions, and the layout behind an identity prefix."""

import math

import pytest
import torch

from equilibria.nn.embedding import TokenEmbedding
from equilibria.nn.rotary import BoardRotary, SequenceRotary


def scores(rotary, query, key):
    """Dot products of one query and one key vector placed at every token: `[tokens, tokens]`."""
    tokens = rotary.cos.shape[0]
    q = rotary(query.expand(1, 1, tokens, -1))[0, 0]
    k = rotary(key.expand(1, 1, tokens, -1))[0, 0]
    return q @ k.T


def test_a_sequence_rotation_makes_scores_depend_on_the_distance_alone():
    got = scores(SequenceRotary(9, 8), torch.randn(8), torch.randn(8))
    for offset in range(-8, 9):
        along = got.diagonal(offset)
        torch.testing.assert_close(along, along[:1].expand_as(along), atol=1e-5, rtol=1e-5)
    assert got[0].std() > 1e-2


def test_a_rotation_is_the_complex_one_of_the_paper():
    rotary, x = SequenceRotary(7, 8), torch.randn(1, 1, 7, 8)
    frequencies = 10_000.0 ** (-torch.arange(0, 8, 2) / 8)
    turn = torch.polar(torch.ones(7, 4), torch.outer(torch.arange(7.0), frequencies))
    turned = torch.complex(*x.chunk(2, dim=-1)) * turn
    torch.testing.assert_close(rotary(x), torch.cat([turned.real, turned.imag], dim=-1))


def test_a_rotation_keeps_lengths_and_leaves_the_first_place():
    x = torch.randn(2, 3, 6, 8)
    turned = SequenceRotary(6, 8)(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, :, 0], x[:, :, 0])


def test_a_board_rotation_makes_scores_depend_on_row_and_column_distance_alone():
    height, width = 3, 5
    rotary = BoardRotary((height, width), 8)
    got = scores(rotary, torch.randn(8), torch.randn(8)).view(height, width, height, width)
    seen = {}
    for r, c, i, j in torch.cartesian_prod(*map(torch.arange, (height, width, height, width))).tolist():
        seen.setdefault((r - i, c - j), []).append(got[r, c, i, j].item())
    assert len(seen) == (2 * height - 1) * (2 * width - 1)
    for values in seen.values():
        assert values == pytest.approx([values[0]] * len(values), abs=1e-5)
    firsts = [values[0] for values in seen.values()]
    assert max(firsts) - min(firsts) > 0.1


def test_a_board_turns_the_first_half_with_the_row_and_the_second_with_the_column():
    x, rotary = torch.randn(1, 1, 6, 8), BoardRotary((2, 3), 8)
    turned = rotary(x)[0, 0].view(2, 3, 8)
    plain, along = x[0, 0].view(2, 3, 8), SequenceRotary(3, 4)
    assert torch.equal(turned[0, :, :4], plain[0, :, :4])  # row 0: not turned
    assert torch.equal(turned[:, 0, 4:], plain[:, 0, 4:])  # column 0
    torch.testing.assert_close(turned[1, :, 4:], along(plain[1, None, None, :, 4:])[0, 0])


def test_rotations_keep_the_dtype_and_are_not_stored():
    rotary = SequenceRotary(4, 8)
    assert rotary(torch.randn(1, 1, 4, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert not rotary.state_dict()


def test_tokens_are_looked_up_and_scaled_by_the_root_of_the_width():
    embedding = TokenEmbedding(5, 3, 4)
    tokens = torch.tensor([[1, 0, 4]], dtype=torch.uint8)
    assert torch.equal(embedding(tokens, None, torch.float32)[0], 2.0 * embedding.weight[[1, 0, 4]])


def test_an_identity_fills_the_first_prefix_slots_and_zeros_the_rest():
    embedding = TokenEmbedding(5, 3, 4, prefix=3, identifiers=2, identity_width=6)
    assert not embedding.identity.weight.any()  # starts as no identity at all
    torch.nn.init.normal_(embedding.identity.weight)
    tokens = torch.tensor([[1, 2, 3], [4, 0, 1]])
    x = embedding(tokens, torch.tensor([1, 0]), torch.float32)
    assert x.shape == (2, 6, 4)
    slots = x[:, :3].flatten(1) / 2.0
    assert torch.equal(slots[:, :6], embedding.identity.weight[[1, 0]])
    assert not slots[:, 6:].any()
    assert torch.equal(x[:, 3:], 2.0 * embedding.weight[tokens])
    assert torch.equal(embedding(tokens, None, torch.float32)[1], x[1])  # identity 0 where none is named


def test_learned_positions_are_added_before_the_scale():
    embedding = TokenEmbedding(5, 3, 4, prefix=1, identity_width=4, learned_positions=True)
    tokens = torch.tensor([[1, 2, 3]])
    x = embedding(tokens, None, torch.float32)[0]
    plain = torch.cat([torch.zeros(1, 4), embedding.weight[tokens[0]]])
    torch.testing.assert_close(x, 2.0 * math.sqrt(0.5) * (plain + embedding.positions))


def test_the_identity_table_gets_gradient_on_the_rows_of_the_batch_only():
    embedding = TokenEmbedding(5, 2, 4, prefix=1, identifiers=10, identity_width=4)
    embedding(torch.tensor([[1, 2], [3, 4]]), torch.tensor([7, 2]), torch.float32).sum().backward()
    gradient = embedding.identity.weight.grad
    assert gradient.is_sparse
    assert sorted(gradient._indices()[0].tolist()) == [2, 7]
