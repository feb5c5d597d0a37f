"""Training of face-recognition networks and decoders: losses, data, steps, the loop."""
