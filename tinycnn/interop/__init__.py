"""Ways in and out: files of torch, safetensors and ONNX, arrays of other libraries. Loaded when first used."""
