"""`import tinycnn.autograd.functional` and its like: `tinycnn/autograd.py` has this folder as its path."""
