"""Examples from files: reading, understanding, checking and dealing them out. Nothing here knows what a model is."""
