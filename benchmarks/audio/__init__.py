"""Planted faults against the audio layers, and what each layer says of them."""
