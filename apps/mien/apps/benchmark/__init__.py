"""The full evaluation: the field's metrics, with floors, ceilings, twins and intervals.

Read it in this order::

    repeats       a figure with its 95 % interval
    retrieval     R-precision, MM-Dist, diversity, multimodality
    frechet       the Frechet distance
    geometry      L2, LVE, FDD, jerk and energy
    events        timed events: tIoU and F1
    text_scores   BLEU-4, ROUGE-L, CIDEr-D; `sentences` has MiniLM similarity
    evaluator     the text-motion model behind retrieval; `training` makes it
    floors        nearest neighbor and random clip; `leakage` compares the splits
    systems       what is measured: the shipped model and its twins
    runner        measures them; `report` does it all; `table` writes the field's layout
    llm_judge     marks by a language model behind an endpoint, off by default

``python -m mien.apps.benchmark`` runs it all; ``python -m mien.apps.benchmark.train_evaluator``
trains the evaluator. Nothing here learns from a test clip.
"""
