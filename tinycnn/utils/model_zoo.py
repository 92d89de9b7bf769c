"""torch's former place for downloads of weights: see `tinycnn.hub`."""

from tinycnn.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]
