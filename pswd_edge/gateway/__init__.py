"""The gateway process: everything that faces the network. It reads the image and asks at the door, nothing else."""
