"""Text and motion made together: a lexicon, performances of it, and the words for them."""
