"""Ways in and out: files of torch and of safetensors, arrays of other libraries. Loaded when they are first used."""
