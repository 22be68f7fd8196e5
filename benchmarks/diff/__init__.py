"""How fast tensors are compared: ours beside numpy's, torch's and other people's tools."""
