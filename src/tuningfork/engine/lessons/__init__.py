"""What is to be learnt, as tokens: one file a way of reading it."""
