import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from cerberus_jax.metrics import si_bss_eval, si_sdr

NUM_SAMPLES = 4000


def second_way(estimates, references):
    """Float64 least squares, straight from the definition."""
    estimates, references = np.float64(estimates), np.float64(references)
    span = references[np.abs(references).max(1) > 0].T
    scores = np.full((3, len(estimates)), np.nan)
    for i, (estimate, reference) in enumerate(zip(estimates, references, strict=True)):
        if not reference.any():
            continue
        target = (estimate @ reference) / (reference @ reference) * reference
        projected = span @ np.linalg.lstsq(span, estimate, rcond=None)[0]
        for k, rest in enumerate((estimate - target, projected - target, estimate - projected)):
            with np.errstate(divide="ignore"):
                scores[k, i] = 10 * np.log10((target @ target) / (rest @ rest))
    return np.clip(scores, -100, 100)


def random_case(rng, num_samples=NUM_SAMPLES):
    """References, some of them correlated, and estimates with random interference and noise."""
    num_sources = 2 + int(rng.integers(4))
    references = rng.standard_normal((num_sources, num_samples))
    common = rng.standard_normal(num_samples) * rng.uniform(0, 3)
    references = (references + common) * 10 ** rng.uniform(-3, 0, (num_sources, 1))
    estimates = []
    for i in range(num_sources):
        others = np.delete(references, i, 0)
        others = others / np.linalg.norm(others, axis=1, keepdims=True)
        noise = rng.standard_normal(num_samples)
        levels = 10 ** (rng.uniform(-50, 35, 2) / 20)
        estimates.append(
            references[i] / np.linalg.norm(references[i])
            + levels[0] * rng.standard_normal(len(others)) @ others
            + levels[1] * noise / np.linalg.norm(noise)
        )
    estimates = np.array(estimates) * 10 ** rng.uniform(-6, 3, (num_sources, 1))
    return estimates.astype(np.float32), references.astype(np.float32)


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    return [random_case(rng) for _ in range(200)]


def test_agrees_with_least_squares_in_numpy(cases):
    checked = 0
    for estimates, references in cases:
        expected = second_way(estimates, references)
        found = np.array(si_bss_eval(estimates, references))
        inside = (expected >= -40) & (expected <= 60)
        checked += inside.sum()
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6)
        np.testing.assert_allclose(
            si_sdr(estimates, references)[inside[0]], expected[0][inside[0]], atol=1e-6
        )
    assert checked > 1000


def test_the_ratios_add_up(cases):
    for estimates, references in cases[:40]:
        sdr, sir, sar = (np.float64(v) for v in si_bss_eval(estimates, references))
        np.testing.assert_allclose(10 ** (-sdr / 10), 10 ** (-sir / 10) + 10 ** (-sar / 10), 1e-9)


def test_long_signals_lose_no_precision():
    estimates, references = random_case(np.random.default_rng(7), 1_000_000)
    expected = second_way(estimates, references)
    inside = (expected >= -40) & (expected <= 60)
    found = np.array(si_bss_eval(estimates, references))
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6)


def test_scale_of_estimate_and_reference_does_not_matter(cases):
    estimates, references = cases[0]
    expected = np.array(si_bss_eval(estimates, references))
    for scale in (2.0**-90, 0.5, -4.0, 1024.0):
        scaled = np.array(si_bss_eval(np.float32(estimates * scale), np.float32(references / 8)))
        np.testing.assert_allclose(scaled, expected, atol=1e-6)


def test_permuted_sources_give_permuted_scores(cases):
    for estimates, references in cases[1:11]:
        order = np.random.default_rng(0).permutation(len(estimates))
        expected = np.array(si_bss_eval(estimates, references))
        found = np.array(si_bss_eval(estimates[order], references[order]))
        inside = np.abs(expected[:, order]) < 60
        np.testing.assert_allclose(found[inside], expected[:, order][inside], atol=1e-6)


def test_a_mean_is_not_removed():
    rng = np.random.default_rng(1)
    reference = rng.standard_normal(1000).astype(np.float32)
    shifted = reference + np.float32(1.0)
    expected = second_way(shifted[None], reference[None])[0, 0]
    assert expected < 3
    np.testing.assert_allclose(si_sdr(shifted, reference), expected, atol=1e-6)


def test_silent_references_are_null_and_outside_the_span(cases):
    estimates, references = cases[2]
    references = references.copy()
    references[1] = 0
    found = np.array(si_bss_eval(estimates, references))
    assert np.isnan(found[:, 1]).all()
    expected = second_way(estimates, references)
    inside = (np.abs(expected) < 60) & np.isfinite(expected)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6)
    assert np.isnan(np.array(si_bss_eval(estimates, 0 * references))).all()
    assert np.isnan(si_sdr(estimates[0], references[1]))


def test_extremes_are_clamped():
    rng = np.random.default_rng(2)
    references = rng.standard_normal((2, 500)).astype(np.float32)
    perfect = np.array(si_bss_eval(0.1 * references, references))
    np.testing.assert_allclose(perfect, 100.0)
    nothing = np.array(si_bss_eval(0 * references, references))
    np.testing.assert_allclose(nothing, -100.0)
    only_artefacts = rng.standard_normal((1, 500)).astype(np.float32)
    alone = si_bss_eval(only_artefacts, references[:1])
    np.testing.assert_allclose(alone.si_sir, 100.0)
    np.testing.assert_allclose(alone.si_sar, alone.si_sdr)


def test_identical_references_count_once(cases):
    estimates, references = cases[3]
    doubled = np.concatenate([references, references[:1]])
    more = np.concatenate([estimates, estimates[:1]])
    expected = np.array(si_bss_eval(estimates, references))
    found = np.array(si_bss_eval(more, doubled))[:, : len(estimates)]
    inside = (np.abs(expected) < 60) & (np.arange(len(estimates)) > 0)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6)


def test_inside_jit_the_given_precision_holds(cases):
    for estimates, references in cases[5:15]:
        expected = second_way(estimates, references)
        found = np.array(jax.jit(si_bss_eval)(estimates, references))
        assert found.dtype == np.float32
        inside = np.abs(expected) < 30
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-2)
    gradient = jax.grad(lambda e: si_sdr(e, jnp.asarray(references[0])))(jnp.asarray(estimates[0]))
    assert np.isfinite(gradient).all()


def test_batches_of_si_sdr(cases):
    estimates, references = cases[4]
    stacked = np.stack([estimates, references])[:, None], np.stack([references] * 2)[:, None]
    found = si_sdr(*stacked)
    assert found.shape == (2, 1, len(estimates))
    np.testing.assert_allclose(found[0, 0], si_sdr(estimates, references), atol=1e-6)


def test_unequal_shapes_are_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match="one shape"):
        si_sdr(np.zeros(4, np.float32), np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="one shape"):
        si_bss_eval(np.zeros((2, 5), np.float32), np.zeros((3, 5), np.float32))


def test_arrays_on_a_device_are_scored_off_it(monkeypatch):
    """A TPU has no float64: nothing may be computed there, whatever JAX's default type."""
    estimates, references = (jnp.asarray(a) for a in random_case(np.random.default_rng(0)))
    monkeypatch.setattr(jax, "enable_x64", None)
    with jax.transfer_guard_host_to_device("disallow"):
        scores = si_bss_eval(estimates, references)
    assert {type(score) for score in scores} == {np.ndarray}
    assert {score.dtype for score in scores} == {np.dtype("float64")}
