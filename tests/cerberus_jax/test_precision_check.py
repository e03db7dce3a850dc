"""A precision that is unknown, or that the backend does not have, is refused by name."""

import jax
import jax.numpy as jnp
import pytest

from cerberus_jax import precision_check
from cerberus_jax.precision_check import check_precision


@pytest.fixture
def on_backend(monkeypatch):
    """Makes the products of bfloat16 those of another backend."""

    def become(product):
        monkeypatch.setattr(precision_check, "product", product)
        precision_check._fault_of_bfloat16.cache_clear()

    yield become
    precision_check._fault_of_bfloat16.cache_clear()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_this_backend_has_both(precision):
    check_precision(precision)


@pytest.mark.parametrize("precision", ["float16", "", "bf16"])
def test_an_unknown_precision_names_those_there_are(precision):
    with pytest.raises(ValueError, match=rf"precision: .*'float32', 'bfloat16'.*'{precision}'"):
        check_precision(precision)


def test_a_backend_that_refuses_is_named(on_backend):
    def refuse(*_):
        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: no bfloat16\nand more")

    on_backend(refuse)
    with pytest.raises(ValueError, match=r"'bfloat16' does not work on .*UNIMPLEMENTED: no bfloat"):
        check_precision("bfloat16")
    check_precision("float32")


def test_a_backend_that_sums_in_bfloat16_is_refused(on_backend):
    def coarse(a, b, _):
        return jnp.matmul(a, b).astype(jnp.bfloat16).astype(jnp.float32)

    on_backend(coarse)
    with pytest.raises(ValueError, match=r"summed in float32; use .*precision='float32'"):
        check_precision("bfloat16")
