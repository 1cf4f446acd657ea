"""Names of published weights → ours. They are interface facts; everything that knows them is in this file."""

import re

_LEVELS = {"hrm": {"H_level": "blocks", "L_level": "fast_blocks"}}
"""The module of a level, where a family has more than one; elsewhere there is one, `L_level`."""

_EVERYWHERE = (
    (r"^inner\.embed_tokens\.embedding_weight$", "embedding.weight"),
    (r"^inner\.embed_pos\.embedding_weight$", "embedding.positions"),
    (r"^inner\.puzzle_emb\.weights$", "embedding.identity.weight"),
    (r"^inner\.lm_head\.weight$", "answer_head.weight"),
    (r"^inner\.q_head\.(weight|bias)$", r"halt_head.score.\1"),
)
_BLOCK = (
    (r"^mlp_t\.(gate_up|down)_proj\.weight$", r"token_mixing.\1.weight"),
    (r"^self_attn\.qkv_proj\.weight$", "token_mixing.qkv.weight"),
    (r"^self_attn\.o_proj\.weight$", "token_mixing.out.weight"),
    (r"^mlp\.(gate_up|down)_proj\.weight$", r"channel_mixing.\1.weight"),
    (r"^mlp\.dwconv\.(weight|bias)$", r"channel_mixing.convolution.\1"),
)
_AROUND = (
    (r"^conv\.(weight|bias)$", r"convolution.\1"),
    (r"^alpha_([12])_param$", r"scale.alpha_\1"),
    (r"^alpha_([12])_layer\.(weight|bias)$", r"scale.alpha_\1.\2"),
)
_IGNORED = re.compile(r"puzzle_emb\.local_|rotary_emb\.|\.mask$")
_INITIAL = ("inner.H_init", "inner.L_init", "inner.init_hidden")


def _rename(name: str, table: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, ours in table:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    return None


def our_name(published: str, family: str = "eqr") -> str | None:
    """Our name for a published parameter (wrapper prefixes already stripped), or None where we have none."""
    if name := _rename(published, _EVERYWHERE):
        return name
    if match := re.match(r"^inner\.layers\.(\d+)\.(.+)$", published):  # URM has its blocks without a level
        level, block, rest = "blocks", match[1], match[2]
    elif match := re.match(r"^inner\.([HL]_level)\.(?:layers\.(\d+)\.)?(.+)$", published):
        level = _LEVELS.get(family, {"L_level": "blocks"}).get(match[1])
        block, rest = match[2], match[3]
    else:
        return None
    own = _rename(rest, _AROUND if block is None else _BLOCK)
    if own is None or level is None:
        return None
    return f"{level}.{own}" if block is None else f"{level}.{block}.{own}"


def initial_names(streams: int, family: str) -> tuple[str, ...]:
    """Published names of the fixed initial state of each stream, the decoded one first."""
    if family == "urm":
        return ("inner.init_hidden",)
    return ("inner.H_init", "inner.L_init") if streams == 2 else ("inner.L_init",)


def is_ignored(published: str) -> bool:
    """Whether a weight carries nothing: scratch buffers, tables that are rebuilt, all-ones masks."""
    return published in _INITIAL or bool(_IGNORED.search(published))


def strip_wrappers(name: str) -> str:
    """Drop what compiling (`_orig_mod`) and the loss head (`model`) put before a parameter's name."""
    path = [part for part in name.split(".") if part != "_orig_mod"]
    return ".".join(path[1:] if path[0] == "model" else path)
