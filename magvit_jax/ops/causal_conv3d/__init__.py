"""Time-causal 3D convolution; see `api.causal_conv3d`."""
