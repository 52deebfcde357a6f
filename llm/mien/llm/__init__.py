"""One language model over text and motion tokens: language to motion, and motion to language.

>>> from mien.llm import MotionLanguageModel
>>> model = MotionLanguageModel.load()
>>> ((score, indices),) = model.generate_motion(["she winks with her right eye"], seconds=2.0)
>>> indices.shape
torch.Size([50])
"""

from mien.llm.decoder import Decoder, QwenDecoder, TransformersDecoder
from mien.llm.editing import Edit, Locality, measure_locality
from mien.llm.model import Description, Event, MotionLanguageModel, MotionStream
from mien.llm.sampling import Sampling
from mien.llm.session import MotionSession
from mien.llm.text_codec import TextCodec
from mien.llm.vocabulary import Vocabulary
from mien.llm.word_encoder import WordEncoder

__all__ = [
    "Decoder",
    "Description",
    "Edit",
    "Event",
    "Locality",
    "MotionLanguageModel",
    "MotionSession",
    "MotionStream",
    "QwenDecoder",
    "Sampling",
    "TextCodec",
    "TransformersDecoder",
    "Vocabulary",
    "WordEncoder",
    "measure_locality",
]
