"""The commands `tinycnn evaluate`, `predict`, `report`, `summary` and `new`: a module each, with `parser()` and
`main(arguments)`. They import at their top only what `parser` needs, so that `--help` and shell completion are quick.
"""
