"""Files for and from elsewhere: Keras, SavedModel, ONNX, PyTorch."""
