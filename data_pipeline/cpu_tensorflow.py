"""TensorFlow for reading and writing records, its only use here; import `tf` from this file.

It is silent, and leaves all accelerators to JAX, whose memory it would reserve.
"""

import tensorflow as tf


def _keep_off_accelerators() -> None:
    for kind in ("GPU", "TPU"):
        try:
            tf.config.set_visible_devices([], kind)
        except RuntimeError:  # the caller's TensorFlow has begun to work already
            return


_keep_off_accelerators()
