"""What serves the files of accompany-music-vae, the student project that this package follows.

That project predicted the latent of a trio from its melody, with a network written in Keras. Its
users have networks and data sets of its own kinds, which these modules read, write and train:

- ``network``: PointSurrogate, the project's network in PyTorch.
- ``training``: how the project trained it.
- ``keras``, ``keras_hdf5``: the HDF5 files in which Keras saved it.
- ``one_hot_files``: its data sets, HDF5 files with columns of one-hot rows.

They are kept apart so that the rest of the package can be read, and changed, without them.
"""
