"""Decoding step by step with a cache: ours for Qwen3, transformers' for any other base."""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from mien.llm.step_kernel import StepWeights

_KERNEL_ROWS, _KERNEL_TOKENS = 4, 6  # above, torch's batched products are quicker


class Decoder(Protocol):
    """A causal language model that remembers what it has read, row by row of a batch."""

    def start(self, batch: int, capacity: int) -> None:
        """Forget everything; make room for `capacity` positions in each of `batch` rows."""

    def clear(self, row: int) -> None:
        """Forget one row."""

    def fork(self) -> "Decoder":
        """Another decoder over the same weights with a memory of its own."""
        ...

    def embed(self, ids: Int[Tensor, "*n"]) -> Float[Tensor, "*n d"]:
        """Look up embeddings."""
        ...

    def append(self, x: Float[Tensor, "b n d"], counts: Sequence[int]) -> Float[Tensor, "b d"]:
        """Read `counts[i]` embeddings in row i and give the hidden state of its last one."""
        ...

    def logits(self, hidden: Float[Tensor, " d"], ids: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Scores of the given ids to come next."""
        ...


class QwenDecoder:
    """A plain forward pass of Qwen3 over its own weights, query/key/value and gate/up merged.

    Args:
        config: The model's `config.json`.
        state: The model's weights by their names in transformers.

    Source:
        Qwen3 in transformers (`modeling_qwen3.py`), with which it agrees to rounding.
    """

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
        self.num_layers = int(config["num_hidden_layers"])
        self.num_heads = int(config["num_attention_heads"])
        self.num_kv = int(config["num_key_value_heads"])
        self.head_dim = int(config["head_dim"])
        self.eps = float(config["rms_norm_eps"])
        self._embedding = state["model.embed_tokens.weight"].float()
        head = (
            self._embedding if config["tie_word_embeddings"] else state["lm_head.weight"].float()
        )
        self._head = head
        self._final_norm = state["model.norm.weight"].float()
        self._layers = [_merge(state, f"model.layers.{i}.") for i in range(self.num_layers)]
        theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        self._rope = _rope_table(int(config["max_position_embeddings"]), self.head_dim, theta)
        self.start(1, 1)

    def start(self, batch: int, capacity: int) -> None:
        """Forget everything and make room."""
        shape = (self.num_layers, 2, batch, self.num_kv, capacity, self.head_dim)
        self._cache = self._embedding.new_zeros(shape)
        self._lengths = [0] * batch

    def clear(self, row: int) -> None:
        """Forget one row."""
        self._lengths[row] = 0

    def fork(self) -> "QwenDecoder":
        """Another decoder over the same weights with a memory of its own."""
        _ = self._kernel  # packed once, for all twins
        twin = copy(self)
        twin.start(1, 1)
        return twin

    def embed(self, ids: Int[Tensor, "*n"]) -> Float[Tensor, "*n d"]:
        """Look up embeddings."""
        return F.embedding(ids, self._embedding)

    def logits(self, hidden: Float[Tensor, " d"], ids: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Scores of the given ids to come next."""
        first, count = int(ids[0]), len(ids)
        if count > 1 and bool((ids == torch.arange(first, first + count)).all()):
            return self._head[first : first + count] @ hidden  # a view: no rows are copied
        return self._head[ids] @ hidden

    @torch.inference_mode()
    def append(self, x: Float[Tensor, "b n d"], counts: Sequence[int]) -> Float[Tensor, "b d"]:
        """Read embeddings; rows shorter than the chunk are padded on the right."""
        self._make_room(counts)
        if x.shape[0] <= _KERNEL_ROWS and x.shape[1] <= _KERNEL_TOKENS:
            return self._append_few(x, counts)
        batch, length, _ = x.shape
        starts = torch.tensor(self._lengths)
        at = starts[:, None] + torch.arange(length)  # [B, n]
        total = max(self._lengths) + length
        mask = (torch.arange(total) <= at[..., None])[:, None]  # [B, 1, n, total]
        place = at.clamp(max=self._rope[0].shape[0] - 1)  # only padding can lie beyond
        cos, sin = self._rope[0][place][:, None], self._rope[1][place][:, None]
        for index, layer in enumerate(self._layers):
            x = x + self._attend(
                _rms(x, layer["norm1"], self.eps), layer, index, (at, total, mask, cos, sin)
            )
            gate, up = F.linear(_rms(x, layer["norm2"], self.eps), layer["gate_up"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer["down"])
        self._lengths = [a + b for a, b in zip(self._lengths, counts, strict=True)]
        last = x[torch.arange(batch), torch.tensor([max(c - 1, 0) for c in counts])]
        return _rms(last, self._final_norm, self.eps)

    def _make_room(self, counts: Sequence[int]) -> None:
        """Let the cache hold what comes; refuse more than the model has positions for."""
        needed = max(a + b for a, b in zip(self._lengths, counts, strict=True))
        if needed > len(self._rope[0]):
            raise ValueError(
                f"The model has {len(self._rope[0])} positions, got {needed} to read; "
                "shorten the prompt."
            )
        total = max(self._lengths) + max(counts)
        if total > self._cache.shape[4]:
            self._grow(total)

    def _append_few(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """Read few tokens by the compiled kernel, one of each row at a time."""
        inputs, cache = x.numpy(), self._cache.numpy()
        last = np.zeros((x.shape[0], x.shape[2]), np.float32)
        for at in range(max(counts)):
            rows = np.flatnonzero(np.asarray(counts) > at)
            places = np.array([self._lengths[row] + at for row in rows])
            hidden = self._kernel.step(inputs[rows, at], rows, places, cache)
            last[rows] = hidden
        self._lengths = [a + b for a, b in zip(self._lengths, counts, strict=True)]
        return torch.from_numpy(last)

    @cached_property
    def _kernel(self) -> "StepWeights":
        from mien.llm.step_kernel import StepWeights

        return StepWeights.of(self._layers, self._final_norm, self._rope, self.num_heads, self.eps)

    def _attend(self, x: Tensor, layer: dict[str, Tensor], index: int, where: Any) -> Tensor:
        at, total, mask, cos, sin = where
        batch, length, _ = x.shape
        heads = F.linear(x, layer["qkv"]).view(batch, length, -1, self.head_dim).transpose(1, 2)
        q, k, v = torch.split(heads, [self.num_heads, self.num_kv, self.num_kv], dim=1)
        q = _rotate(_rms(q, layer["q_norm"], self.eps), cos, sin)
        k = _rotate(_rms(k, layer["k_norm"], self.eps), cos, sin)
        keys, values = self._store(index, k, v, at, total)
        groups = self.num_heads // self.num_kv
        keys, values = (t.repeat_interleave(groups, dim=1) for t in (keys, values))
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask).transpose(1, 2)
        return F.linear(y.reshape(batch, length, -1), layer["out"])

    def _store(
        self, index: int, k: Tensor, v: Tensor, at: Tensor, total: int
    ) -> tuple[Tensor, Tensor]:
        keys, values = self._cache[index, 0], self._cache[index, 1]
        if at.shape[0] == 1:
            keys[:, :, total - at.shape[1] : total] = k
            values[:, :, total - at.shape[1] : total] = v
        else:
            rows = torch.arange(at.shape[0])[:, None]
            keys[rows, :, at] = k.transpose(1, 2)
            values[rows, :, at] = v.transpose(1, 2)
        return keys[:, :, :total], values[:, :, :total]

    def _grow(self, total: int) -> None:
        old = self._cache
        more = old.new_zeros(
            *old.shape[:4], max(total, 2 * old.shape[4]) - old.shape[4], old.shape[5]
        )
        self._cache = torch.cat([old, more], dim=4)


class TransformersDecoder:
    """Any causal language model of transformers, one row at a time.

    Args:
        model: The model, adapters and all.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model: Any = model
        self._caches: list[Any] = []

    def start(self, batch: int, capacity: int) -> None:
        """Forget everything."""
        self._caches = [None] * batch

    def clear(self, row: int) -> None:
        """Forget one row."""
        self._caches[row] = None

    def fork(self) -> "TransformersDecoder":
        """Another decoder over the same model with a memory of its own."""
        return TransformersDecoder(self._model)

    def embed(self, ids: Int[Tensor, "*n"]) -> Float[Tensor, "*n d"]:
        """Look up embeddings."""
        out: Tensor = self._model.get_input_embeddings()(ids)
        return out

    @torch.inference_mode()
    def append(self, x: Float[Tensor, "b n d"], counts: Sequence[int]) -> Float[Tensor, "b d"]:
        """Read embeddings, row by row."""
        out = []
        for row, count in enumerate(counts):
            if count == 0:
                out.append(x.new_zeros(x.shape[-1]))
                continue
            result = self._model.get_decoder()(
                inputs_embeds=x[row : row + 1, :count],
                past_key_values=self._caches[row],
                use_cache=True,
            )
            self._caches[row] = result.past_key_values
            out.append(result.last_hidden_state[0, -1])
        return torch.stack(out)

    @torch.inference_mode()
    def logits(self, hidden: Float[Tensor, " d"], ids: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Scores of the given ids to come next."""
        out: Tensor = self._model.get_output_embeddings()(hidden)[ids].float()
        return out


def _merge(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    def get(*parts: str) -> Tensor:
        return torch.cat([state[f"{name}{part}.weight"].float() for part in parts])

    return {
        "norm1": get("input_layernorm"),
        "norm2": get("post_attention_layernorm"),
        "q_norm": get("self_attn.q_norm"),
        "k_norm": get("self_attn.k_norm"),
        "qkv": get("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "out": get("self_attn.o_proj"),
        "gate_up": get("mlp.gate_proj", "mlp.up_proj"),
        "down": get("mlp.down_proj"),
    }


def _rope_table(length: int, width: int, theta: float) -> tuple[Tensor, Tensor]:
    frequencies = theta ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * torch.cat([frequencies, frequencies])
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x, weight.shape, weight, eps)
