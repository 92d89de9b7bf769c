"""`import tinycnn.autograd.functional` and its like: `tinycnn/autograd_names.py` puts this folder on the path."""
