"""Running weights on this machine: prompts to token ids, shared-prefix passes, scoring, writing, vectors, training."""
