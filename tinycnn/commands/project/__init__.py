"""What `tinycnn new` writes: each file as a template, in which $name stands for the project's name."""
