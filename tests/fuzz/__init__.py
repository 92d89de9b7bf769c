"""Random programs, run with tinycnn and with torch, and compared: `python -m tests.fuzz --help`."""
