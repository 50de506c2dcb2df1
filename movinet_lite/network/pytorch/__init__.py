"""Imports PyTorch weights, without PyTorch and without executing pickles.

=============  ====================================================================================================
module         contents
=============  ====================================================================================================
`pickles`      reads pickles of tensors and plain data (no TensorFlow)
`files`        reads tensors from PyTorch files of both formats, and ``.safetensors`` files (no TensorFlow)
`naming`       maps tensor names to weights of our network (no TensorFlow)
`recognition`  recognises variant, mode and classes (no TensorFlow)
`importing`    `import_pytorch`: returns a network with the weights of a file
=============  ====================================================================================================
"""
