"""The full evaluation: the field's metrics, with floors, ceilings, twins and intervals.

Read it in this order::

    repeats       a figure with its 95 % interval
    retrieval     R-precision, MM-Dist, diversity, multimodality
    frechet       the Frechet distance
    geometry      L2, LVE, FDD, jerk and energy
    actions       which actions are seen, on their side, in order, as strongly as asked
    events        timed events: tIoU and F1
    text_scores   BLEU-4, ROUGE-L, CIDEr-D; `sentences` has MiniLM similarity
    evaluator     the text-motion model behind retrieval; `training` makes it
    floors        nearest neighbor and random clip; `leakage` compares the splits
    twins         the language model with one thing changed; `mead` is a studio's corpus
    systems       what is measured: the shipped model and its twins
    yardstick     the test clips and all that they are measured by
    runner        measures text to motion, `readers` motion to text
    report        does it all; `table` writes the field's layout
    llm_judge     marks by a language model behind an endpoint, off by default

``mien train evaluator`` and ``mien train twins`` train what ``mien eval full`` measures by and
with. Nothing here learns from a test clip.
"""
