"""Run by test_steppers.py, on two devices: the seven points of the ablation, trained alone, in turn
and stacked; prints by how much they differ after 50 steps.

JAX_ENABLE_X64=1 python -m tests.together_checks float64|float32 NUMBER,NUMBER
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from cerberus_jax import parallel
from cerberus_jax.heads import HEADS
from experiments.training.one_run import Run
from experiments.training.steppers import Alone, InTurn, Stacked
from tests.tiny_network import noise_batch
from tests.tiny_training import tiny_config

WEIGHTS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.2, 0, 0.8), (0, 0.2, 0.8))
WEIGHTS = (*WEIGHTS, (0.1, 0.1, 0.8))
ALL = range(len(WEIGHTS))
STEPS = 50


def points():
    """Each with a seed and a learning rate of its own."""
    names = [name for name, head in HEADS.items() if head.default_weight]
    for number, weights in enumerate(WEIGHTS):
        fields = {f"loss__{name}": weight for name, weight in zip(names, weights, strict=True)}
        fields |= {"seed": number, "optimizer__learning_rate": 1e-3 * (1 + number % 2)}
        fields |= {"model__hidden": 4, "model__layers": 1, "batch_size": 2}
        yield tiny_config(loss__deep_clustering_stride=3, **fields)


def runs_on(num_devices, numbers=ALL):
    mesh, configs = parallel.make_mesh(jax.devices()[:num_devices]), list(points())
    return [Run(configs[k], mesh, Path(), first=0, validation=()) for k in numbers]


def batch(step, dtype):
    given = noise_batch(2, seed=step)
    return given | {"gains": given["gains"].astype(dtype)}


def trained(stepper, dtype):
    """Parameters and all metrics of each run."""
    stepper.start(stepper.put(batch(0, dtype)))
    metrics = []
    for step in range(STEPS):
        given = stepper.update(stepper.put(batch(step, dtype)), stepper.runs)
        of_step = stepper.metrics(given)
        metrics.append({run: jax.device_get(values) for run, values in of_step.items()})
    states = [jax.device_get(stepper.state(run)) for run in stepper.runs]
    stepper.close()
    return states, [[of_step[run] for of_step in metrics] for run in stepper.runs]


def difference(one, other):
    """The largest between arrays; infinite where one is not finite."""
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return float(np.nan_to_num(max(np.max(np.abs(np.subtract(a, b))) for a, b in leaves), nan=1e9))


def main(dtype, in_turn):
    """The points whose numbers `in_turn` lists train in turn, all of them stacked."""
    numbers = list(map(int, in_turn.split(",")))
    alone = [trained(Alone([run]), dtype) for run in runs_on(1)]
    ways = {
        "in turn": (numbers, trained(InTurn(runs_on(1, numbers), at_a_time=2), dtype)),
        "stacked": (ALL, trained(Stacked(runs_on(2)), dtype)),
    }
    report = []
    for way, (of_points, (states, metrics)) in ways.items():
        for number, state, values in zip(of_points, states, metrics, strict=True):
            (true,), (true_values,) = alone[number]
            report.append(
                {
                    "way": way,
                    "params": difference(true.params, state.params),
                    "moments": difference(true.opt_state, state.opt_state),
                    "metrics": difference(true_values, values),
                    "names": sorted(values[0]) == sorted(true_values[0]),
                    "type": str(jax.tree.leaves(state.params)[0].dtype),
                }
            )
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
