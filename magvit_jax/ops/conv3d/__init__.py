"""3D convolution that looks both ways in time; see `api.conv3d`."""
