"""The word prefix: one soft vector a word, in front of the sequence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.llm.orders import Order
from mien.llm.times import Clause

_ALONE = 0.5  # likelihood from which a prompt counts as one for one thing alone
_ALSO = 0.1  # the share of such a prompt that a second entry must answer
_LEXICAL = 0.4  # what the words by themselves weigh beside what they mean
_SHARPNESS = 2.0  # of shares that look-alikes have made even


class Wording(NamedTuple):
    """The words of a text.

    Attributes:
        words: Their vectors as the language model reads them.
        tuned: As a tuned encoder gives them, for names; None where there is none.
        named: Names by the words alone, as a `LexicalReader` gives them; None where there is none.
    """

    words: Float[Tensor, "w f"]
    tuned: Float[Tensor, "w f"] | None = None
    named: Float[Tensor, " e"] | None = None


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt as the language model takes it.

    Attributes:
        words: Its words in the model's embedding space.
        names: For each entry of the lexicon the logarithm of the share of the prompt that it
            answers, as the sentence reader sees it; where the prompt asks for one thing alone, of
            how much it looks like that thing. None where there is no such reader.
        barred: Entries that the prompt forbids, for its first action and for those behind it;
            empty where it forbids nothing.
        barred_codes: Motion codes that show what the prompt forbids all the while; None where it
            forbids nothing, or what codes show is not known.
        clauses: Its parts with stated times, each as a prompt of its own; empty where it states
            no time.
        orders: Entries that it names in so many words; none where fewer than two.
        uncalled: Where it asks for one thing alone, or for nothing but its orders, all other
            entries, so that a plan does not go on with them; None where nothing tells.
    """

    words: Float[Tensor, "w d"]
    names: Float[Tensor, " e"] | None = None
    barred: tuple[Bool[Tensor, " e"], ...] = ()
    barred_codes: Bool[Tensor, " c"] | None = None
    clauses: tuple[tuple[Clause, "Prompt"], ...] = ()
    orders: tuple[Order, ...] = ()
    uncalled: Bool[Tensor, " e"] | None = None

    def bars(self, line: int) -> Bool[Tensor, " e"] | None:
        """Entries that an action must not be, by its number."""
        return self.barred[min(line, 1)] if self.barred else None


def shared_names(
    names: Float[Tensor, " e"], likeness: Float[Tensor, "e e"]
) -> Float[Tensor, " e"]:
    """Let entries that look alike speak for each other.

    Where several readings of a prompt are about as likely (heartbroken, disappointed, relieved),
    the look that most of them share errs least: the expected likeness of what is shown to what is
    meant, as in minimum Bayes risk decoding (Kumar and Byrne 2004).

    Args:
        names: Logarithms of shares.
        likeness: From 0 to 1, as `mien.data_synth.likeness` gives it.
    """
    return (_SHARPNESS * torch.log(names.exp() @ likeness.T)).log_softmax(dim=-1)


class WordProjection(nn.Module):
    """Project word vectors to a width.

    Each half of a word vector (contextual, static) is normalized by itself; in training the
    static half is dropped for whole prompts, so that the model also learns to read words by what
    they mean in their sentence.

    Args:
        word_width: Width of a word vector, both halves.
        hidden: Width inside.
        width: Width of the result.
    """

    def __init__(self, word_width: int, hidden: int, width: int) -> None:
        super().__init__()
        self.norm_context = nn.LayerNorm(word_width // 2)
        self.norm_static = nn.LayerNorm(word_width // 2)
        self.project = nn.Sequential(
            nn.Linear(word_width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(
        self, words: Float[Tensor, "n f"], static_gain: Float[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n d"]:
        """Project words; `static_gain` of 0 hides the static half of a word."""
        context, static = words.chunk(2, dim=-1)
        static = self.norm_static(static)
        if static_gain is not None:
            static = static * static_gain[..., None]
        out: Tensor = self.project(torch.cat([self.norm_context(context), static], dim=-1))
        return out


class SentenceReader(nn.Module):
    """Read all words of a sentence into one vector, by attention with a query a head.

    It learns by itself (`mien.llm.naming`), from many more prompts than the language model could
    read in that time: to name the actions that a prompt asks for, or to tell how many there are.

    Args:
        word_width: Width of a word vector, both halves.
        hidden: Width inside.
        width: Width of the result.
        num_entries: What it tells apart: entries of the lexicon, or numbers.
        heads: Queries.
        dropout: Share of the pooled values that training hides.
    """

    def __init__(
        self,
        word_width: int,
        hidden: int,
        width: int,
        num_entries: int,
        heads: int = 8,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.randn(num_entries, width) * width**-0.5)
        self.words = WordProjection(word_width, hidden, width)
        self.score = nn.Linear(width, heads)
        self.mix = nn.Sequential(nn.Linear(heads * width, width), nn.GELU(), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    def forward(
        self,
        words: Float[Tensor, "n f"],
        counts: Int[Tensor, " b"],
        static_gain: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "b d"]:
        """Read sentences whose words stand one after the other, `counts` of each."""
        values = self.words(words, static_gain).float()
        places = torch.arange(int(counts.max()), device=counts.device)
        real = (places < counts[:, None])[..., None]
        padded = values.new_zeros(*real.shape[:2], values.shape[-1]).masked_scatter(real, values)
        scores = self.score(padded).float().masked_fill(~real, -torch.inf)
        pooled = torch.einsum("bth,btd->bhd", scores.softmax(dim=1), padded)
        out: Tensor = self.norm(self.mix(pooled.flatten(1)).float())
        return out

    def scores(self, sentences: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        """How well each entry of the lexicon answers each sentence, as logits."""
        return nn.functional.linear(sentences, self.entries).float()


class WordPrefix(WordProjection):
    """Word vectors in the embedding space of the language model.

    Args:
        word_width: Width of a word vector, both halves.
        hidden: Width inside.
        width: Width of the language model.
        num_entries: Entries of the lexicon, for a reader of sentences whose vector the last word
            carries too; 0 for none.
        sentence_gain: Size of that vector beside the last word's; with 0 the reader only gives
            names.
        counts: Numbers of actions that a smaller reader tells apart, the last one standing for
            all above; 0 for none.
    """

    def __init__(
        self,
        word_width: int,
        hidden: int,
        width: int,
        num_entries: int = 0,
        sentence_gain: float = 0.2,
        counts: int = 0,
    ) -> None:
        super().__init__(word_width, hidden, width)
        self.sentence_gain = sentence_gain
        self.sentence = (
            SentenceReader(word_width, hidden, width, num_entries) if num_entries else None
        )
        small = max(1, hidden // 4), max(1, width // 4)
        self.counter = SentenceReader(word_width, *small, counts) if counts else None

    def forward(
        self,
        words: Float[Tensor, "n f"],
        static_gain: Float[Tensor, " n"] | None = None,
        counts: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "n d"]:
        """Project words.

        Args:
            words: Of one or more prompts, one after the other.
            static_gain: One a word; 0 hides its static half.
            counts: Words of each prompt, none of them 0; None takes all words as one prompt.
        """
        out = super().forward(words, static_gain)
        if self.sentence is None or not self.sentence_gain or not len(words):
            return out
        if counts is None:
            counts = torch.tensor([len(words)], device=words.device)
        return self._with_sentences(out, self.sentence(words, counts, static_gain), counts)

    def read(self, wording: Wording) -> Prompt:
        """Make a prompt of its words."""
        words = wording.words
        out = super().forward(words)
        if self.sentence is None:
            return Prompt(out)
        counts = torch.tensor([len(words)], device=words.device)
        sentence = self.sentence(words, counts)
        names = self._names([wording], sentence, counts)[0]
        return Prompt(
            self._with_sentences(out, sentence, counts),
            names,
            uncalled=names < math.log(_ALSO) if self._asks_for_one(words, counts) else None,
        )

    def _asks_for_one(self, words: Float[Tensor, "w f"], counts: Int[Tensor, " 1"]) -> bool:
        """Whether a prompt rather asks for one thing alone than for several."""
        if self.counter is None:
            return False
        numbers = self.counter.scores(self.counter(words, counts))[0].softmax(dim=-1)
        return bool(numbers[0] > _ALONE)

    def name(self, texts: Sequence[Wording]) -> Float[Tensor, "t e"]:
        """The logarithm of the share of each text that each entry answers.

        Where there are tuned words too, the share is the mean of what is read in both, which errs
        less than either; names by the words alone weigh beside that, as a product of experts.
        """
        if self.sentence is None:
            raise ValueError("Names need a prefix that reads sentences.")
        words = torch.cat([text.words for text in texts])
        counts = torch.tensor([len(text.words) for text in texts], device=words.device)
        return self._names(texts, self.sentence(words, counts), counts)

    def _names(
        self,
        texts: Sequence[Wording],
        sentences: Float[Tensor, "t d"],
        counts: Int[Tensor, " t"],
    ) -> Float[Tensor, "t e"]:
        """The logarithm of shares of texts whose words have been read already."""
        assert self.sentence is not None, "checked by who asks"
        names = self.sentence.scores(sentences).log_softmax(dim=-1)
        tuned = [text.tuned for text in texts if text.tuned is not None]
        if tuned:
            others = self.sentence.scores(self.sentence(torch.cat(tuned), counts))
            names = torch.logaddexp(names, others.log_softmax(dim=-1)) - math.log(2)
        named = [text.named for text in texts if text.named is not None]
        if named:
            names = (1 - _LEXICAL) * names + _LEXICAL * torch.stack(named)
        return names.log_softmax(dim=-1)

    def _with_sentences(
        self, out: Float[Tensor, "n d"], sentences: Float[Tensor, "b d"], counts: Int[Tensor, " b"]
    ) -> Float[Tensor, "n d"]:
        """Add each sentence's vector to its last word."""
        if not self.sentence_gain:
            return out
        whole = self.sentence_gain * sentences
        return out.index_add(0, counts.cumsum(0) - 1, whole.to(out.dtype))
