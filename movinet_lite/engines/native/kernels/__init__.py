"""The kernels that the code of a network is made of."""
