"""Planned batches read from the memory-mapped PCM, with numpy or with tf.data."""
