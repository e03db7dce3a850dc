"""The platform a program is compiled for decides, and not the machine it is compiled on."""

import jax
import jax.numpy as jnp
import pytest

from cerberus_jax.platforms import by_platform


def _either(x):
    return by_platform({"x": x}, cpu=lambda t: jnp.sin(t["x"]), elsewhere=lambda t: jnp.cos(t["x"]))


@pytest.mark.parametrize(
    ("platform", "there", "absent"),
    [("cpu", "sine", "cosine"), ("cuda", "cosine", "sine"), ("tpu", "cosine", "sine")],
)
def test_a_program_has_what_its_platform_takes_alone(platform, there, absent):
    program = jax.jit(_either).trace(1.0).lower(lowering_platforms=(platform,)).as_text()
    assert f"stablehlo.{there} " in program and f"stablehlo.{absent} " not in program


def test_here_it_is_the_one_for_cpus():
    assert float(_either(jnp.float32(0))) == 0
