"""Modules that have moved, under the paths that programs know: `tinycnn.reference` is `tinycnn.teaching.reference`.

`tinycnn/__init__.py` puts this folder on the path of the package, so that `import tinycnn.reference` and
`python -m tinycnn.grade` find them here.
"""
