"""Inspecting and checking nets: gradients, shapes, costs, activations, the first nan."""
