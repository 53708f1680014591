"""Numbers in, numbers out: intervals, paired tests, sequential evidence, power. Nothing here knows what a model is."""
