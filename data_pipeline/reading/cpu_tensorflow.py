"""TensorFlow for tf.data, its only use here; import `tf` from this file.

It is silent, and leaves all accelerators to JAX, whose memory it would reserve. Its tensors come
from a pool: batches from malloc would be fresh pages of the system each time, and two threads that
ask for those wait for each other.
"""

import os

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")  # is read as TensorFlow begins

import tensorflow as tf


def _keep_off_accelerators() -> None:
    for kind in ("GPU", "TPU"):
        try:
            tf.config.set_visible_devices([], kind)
        except RuntimeError:  # the caller's TensorFlow has begun to work already
            return


_keep_off_accelerators()
