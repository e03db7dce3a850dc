"""How many excerpts the losses look at together."""

import functools

import pytest

from cerberus_jax.microbatches import choose_microbatch_size


@pytest.mark.parametrize(
    ("batch", "at_most", "size"),
    [(40, 16, 10), (16, 16, 16), (5, 16, 5), (17, 16, 9), (37, 16, 13), (37, 8, 8), (7, 1, 1)],
)
def test_microbatches_need_not_divide_the_batch(batch, at_most, size):
    choose = functools.partial(choose_microbatch_size, batch, platform="tpu")
    assert choose(400, at_most=at_most) == size
    assert at_most != 16 or choose(400) == size  # what suits an accelerator


def test_a_cpu_takes_400_frames_at_a_time():
    assert [choose_microbatch_size(17, n, platform="cpu") for n in (401, 100, 40)] == [1, 4, 9]
