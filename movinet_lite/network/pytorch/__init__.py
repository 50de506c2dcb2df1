"""Imports PyTorch weights, without PyTorch and without executing pickles.

=============  ====================================================================================================
module         what it holds
=============  ====================================================================================================
`pickles`      what stands in a pickle, if it is nothing but tensors and plain data (no TensorFlow)
`files`        PyTorch's files, in both its formats, and ``.safetensors``: their tensors, by name (no TensorFlow)
`naming`       what the tensors are called, and what they are in our network (no TensorFlow)
`recognition`  what a file holds: variant, mode, classes (no TensorFlow)
`importing`    `import_pytorch`: a network with the weights of a file
=============  ====================================================================================================
"""
