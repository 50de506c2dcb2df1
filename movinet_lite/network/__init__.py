"""The MoViNet network: build, import weights, save, load, and export.

==============  ==================================================================================================
module          what it holds
==============  ==================================================================================================
`model`         `build_movinet`: a MoViNet in Keras 3; `replace_head`, `fold`
`layers`        the parts it is made of
`transformer`   the head of models trained with GRW-smoothing
`padding`       how convolutions treat the edge of a frame (no TensorFlow)
`facts`         the facts of a model, declared once (no TensorFlow)
`spec`          what a network is, apart from its weights (no TensorFlow)
`states`        the states of streams, and their published layout (no TensorFlow)
`memories`      how a forward step reads and writes them
`weights`       import weights from a SavedModel or a checkpoint
`pytorch`       import weights of PyTorch
`sources`       what stands in a SavedModel or a checkpoint
`matching`      check that a file holds each weight once, in its shape (no TensorFlow)
`signatures`    load a SavedModel for its signatures alone
`flat_signatures`  the same as flat graphs, ready sooner
`probes`        run a SavedModel on a short clip
`agreement`     compare logits: the clip, the difference, how large it may be (no TensorFlow)
`files`         our own file: `save_network`, `load_network`
`export`        write a SavedModel or a LiteRT model
`converting`    from a function of TensorFlow to a LiteRT graph
`litert_file`   the facts in a LiteRT model that this library wrote (no TensorFlow)
==============  ==================================================================================================

Nothing is imported here, since most of it loads TensorFlow.
"""
