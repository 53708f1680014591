"""Parts of the training loop, one concern a file; `train.py` beside this folder is its front."""
