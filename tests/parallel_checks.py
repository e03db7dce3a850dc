"""Run by test_parallel.py in a process with four simulated devices; prints its figures as JSON."""

import json
import re

import jax
import numpy as np

from cerberus_jax.architecture import metadata_of
from cerberus_jax.checkpoint import CheckpointWriter, restore_state
from cerberus_jax.parallel import jit_eval, make_mesh, make_step, put_batch, replicated
from cerberus_jax.steps import init_state
from tests.tiny_network import noise_batch, tiny_model, tiny_task, weights

BATCH = noise_batch(8)


def _task(dropout, parts=1):
    options = {"deep_clustering": {"stride": 2}}
    model = tiny_model(dropout=dropout, hidden=16)
    return tiny_task(model=model, loss_options=options, accumulation_steps=parts)


def _start(num_devices, *, parallel, dropout, parts=1):
    task, mesh = _task(dropout, parts), make_mesh(jax.devices()[:num_devices])
    state = jax.device_put(init_state(task, jax.random.key(0), BATCH), replicated(mesh))
    return make_step(task, mesh, parallel=parallel), mesh, state, put_batch(BATCH, mesh)


def run(num_devices, **settings):
    """Parameters and metrics after three steps, each of which takes the state it is given."""
    step, _, state, batch = _start(num_devices, **{"parallel": "jit", "dropout": 0.0} | settings)
    for _ in range(3):
        before = state
        state, metrics = step(state, batch, jax.random.key(1), weights())
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.params)), "not donated"
    return jax.tree.map(np.asarray, (state.params, metrics))


def difference(left, right):
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def compiled(num_devices, **settings):
    """Collectives and FLOPs of one device's program."""
    step, _, state, batch = _start(num_devices, parallel="jit", dropout=0.3, **settings)
    program = step.lower(state, batch, jax.random.key(1), weights()).compile()
    gathers = re.findall(r"all-gather(?:-start)?\(", program.as_text())
    return {"all_gathers": len(gathers), "flops": program.cost_analysis()["flops"]}


def evaluation(num_devices):
    task, mesh = _task(0.3), make_mesh(jax.devices()[:num_devices])
    params = init_state(task, jax.random.key(0), BATCH).params
    found = jit_eval(task, mesh)(params, put_batch(BATCH, mesh), weights())
    return jax.tree.map(np.asarray, found)


def checkpoint_moves(folder):
    """A state saved from four devices, restored on one."""
    step, _, state, batch = _start(4, parallel="jit", dropout=0.0)
    state, _ = step(state, batch, jax.random.key(1), weights())
    with CheckpointWriter(folder) as writer:
        writer.save("last", state, metadata_of(tiny_model(), {}))
    like = jax.eval_shape(lambda: state)
    again = restore_state(folder, like, replicated(make_mesh(jax.devices()[:1])))
    return difference(jax.tree.map(np.asarray, state), jax.tree.map(np.asarray, again))


def main(folder):
    jit = {n: run(n, dropout=0.3) for n in (1, 2, 4)}
    calm = run(1)
    print(
        json.dumps(
            {
                "jit": [difference(jit[1], jit[n]) for n in (2, 4)],
                "dropout_matters": difference(jit[1], calm),
                "pmap": [
                    difference(calm, run(1, parallel="pmap")),
                    difference(calm, run(4, parallel="pmap", parts=2)),
                ],
                "parts": difference(*(run(n, dropout=0.3, parts=2) for n in (1, 4))),
                "compiled": [compiled(1), compiled(4), compiled(4, parts=2)],
                "evaluation": difference(evaluation(1), evaluation(4)),
                "checkpoint": checkpoint_moves(folder),
            }
        )
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
