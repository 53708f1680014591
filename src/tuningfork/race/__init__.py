"""The race: methods get their share of one budget, are measured on shared examples, and the losers are dropped."""
