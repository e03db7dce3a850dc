"""The two kernels of the persistent recurrence, in Pallas Mosaic GPU for NVIDIA Hopper.

One cluster of blocks works on one direction of one group of examples for the whole sequence. Block
k owns 64 hidden units: their recurrent weights stay in its shared memory, their cell states in its
registers. Nothing is launched and no weight is fetched again between two steps; what remains is to
pass the hidden states (backward: their gradients) from block to block once per step.

wgmma takes 64 rows at least, so the weights are its rows and the examples its columns: groups of 8
examples cost no more than the weights they meet, and small groups fill more of the chip. Arrays
that a single block reads or writes therefore lie as [units, examples], the order of wgmma's result,
and go straight between registers and global memory, the next step's while the blocks exchange.
What all blocks multiply by lies as [examples, units], the order wgmma sums in.

The exchange (`_hand_over`, `_take_over`, and nothing else) goes by TMA through global memory, which
here means L2. A block copies its part out, waits until the copy is performed, not only read, and
arrives at the barrier of every block of its cluster, its own included; a block that has seen all
arrivals copies in what it needs. TMA passes by L1, so nothing it reads is stale. All wait for the
arrivals of the last step too: none ends while another still signals it.

The barriers that Pallas puts around every store are off. Where threads write shared memory, TMA or
wgmma read it next, after `commit_smem` (proxy fence and barrier of the warpgroup); and whoever
writes a buffer again has passed another `commit_smem` since it was read.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Float

from cerberus_jax.lstm.cell import cell_vjp
from cerberus_jax.lstm.persistent_plan import UNITS

_SWIZZLE = 128
"""Bytes: wgmma reads rows of shared memory whose 16-byte pieces are permuted within this length."""


def forward(
    gate_inputs: Float[Array, "2 t n 4 u r"],
    weights: Float[Array, "2 k g u"],
    *,
    with_residuals: bool,
    interpret: bool,
) -> list:
    """Hidden states [2 t n*r u] in the weights' type; `with_residuals` adds cells [2 t n u r] and
    gates [2 t n 4 u r] in float32.

    Args:
        gate_inputs: in float32, of n groups of r examples and u hidden units (a multiple of 64).
        weights: block k's rows are its 4 gates of 64 units each, in the type of the products.
        interpret: on the CPU, with the search for races.
    """
    _, steps, groups, _, hidden, rows = gate_inputs.shape
    dtype = weights.dtype
    out_type = [jax.ShapeDtypeStruct((2, steps, groups * rows, hidden), dtype)]
    if with_residuals:
        cells = jax.ShapeDtypeStruct((2, steps, groups, hidden, rows), jnp.float32)
        out_type += [cells, jax.ShapeDtypeStruct(gate_inputs.shape, jnp.float32)]

    def body(gate_inputs, weights, states, *refs):
        *residuals, weights_s, all_s, own_s, copied, handed = refs
        direction, group, block = _place()
        examples, units = pl.ds(group * rows, rows), _units_of(block)
        _copy_in(weights.at[direction, block], weights_s, copied)

        def inputs_of(step):
            return _load_gates(gate_inputs.at[direction, step, group], units)

        def run(step, carry):
            cell, inputs = carry
            in_gate, forget, out_gate = (jax.nn.sigmoid(inputs[gate]) for gate in (0, 1, 3))
            update = jnp.tanh(inputs[2])
            cell = forget * cell + in_gate * update
            _store(own_s.T, (out_gate * jnp.tanh(cell)).astype(dtype))
            _hand_over(handed, (own_s, states.at[direction, step, examples, units]))
            if with_residuals:
                cells, gates = residuals
                _store(cells.at[direction, step, group, units], cell)
                values = (in_gate, forget, update, out_gate)
                _store_gates(gates.at[direction, step, group], units, values)
            # After the last step its own inputs again: a product that nobody uses.
            following = inputs_of(jnp.minimum(step + 1, steps - 1))
            _take_over(handed, states.at[direction, step, examples], all_s, copied)
            sums = _product(weights_s, all_s)
            return cell, tuple(following[gate] + sums[_rows_of(gate)] for gate in range(4))

        lax.fori_loop(0, steps, run, (_zeros(rows), inputs_of(0)))

    shared = [_operand(weights.shape[2:], dtype), _operand((rows, hidden), dtype)]
    shared += [_operand((rows, UNITS), dtype)]
    return _kernel(body, out_type, shared, groups, weights.shape[1], interpret)(
        gate_inputs, weights
    )


def backward(
    weights: Float[Array, "2 k u g"],
    cells: Float[Array, "2 t n u r"],
    gates: Float[Array, "2 t n 4 u r"],
    cotangent: Float[Array, "2 t n u r"],
    *,
    interpret: bool,
) -> Float[Array, "2 t n 4 u r"]:
    """Gradients of the gate inputs.

    A block multiplies the gradients of its own gates by the weights it has in `forward` too, which
    gives its part of the gradient of every hidden unit; the units' owners add the parts, always in
    the same order. Otherwise all blocks would fetch the gradients of all gates: four times a hidden
    state in shared memory, room for 16 examples where this way has room for 32.

    Args:
        weights: block k's columns are its 4 gates of 64 units each, in the type of the products.
        cells, gates: the residuals of `forward`.
        cotangent: gradients of the hidden states from outside the recurrence, in float32.
        interpret: on the CPU, with the search for races.
    """
    _, steps, groups, _, hidden, rows = gates.shape
    blocks, dtype = weights.shape[1], weights.dtype
    # Two of each: a block already writes into one while a slower one still reads the other.
    partial_grads = jax.ShapeDtypeStruct((2 * groups * 2, blocks, hidden, rows), jnp.float32)

    def body(weights, cells, gates, cotangent, grads, partial_grads, *scratch):
        weights_s, grads_s, partial_grads_s, copied, handed = scratch
        direction, group, block = _place()
        units = _units_of(block)
        _copy_in(weights.at[direction, block], weights_s, copied)

        def cells_of(step):
            loaded = _load(cells.at[direction, jnp.maximum(step, 0), group, units])
            return loaded * (step >= 0).astype(jnp.float32)

        def inputs_of(step):
            """A step's gates, the cells before it, the gradient from outside."""
            present = jnp.maximum(step, 0)
            outside = _load(cotangent.at[direction, present, group, units])
            loaded = _load_gates(gates.at[direction, present, group], units)
            return loaded, cells_of(step - 1), outside

        def run(iteration, carry):
            hidden_grad, cell_grad, cell, (gates_now, previous, outside) = carry
            step = steps - 1 - iteration
            gate_grads, cell_grad = cell_vjp(
                hidden_grad + outside, cell_grad, cell, previous, gates_now
            )
            for gate, grad in enumerate(gate_grads):
                _store(grads_s.at[:, _units_of(gate)].T, grad.astype(dtype))
            plgpu.commit_smem()
            target = grads.at[direction, step, group]
            write = functools.partial(_store_gates, target, units, gate_grads)
            sums = _product(weights_s, grads_s, meanwhile=write)
            exchange = (direction * groups + group) * 2 + lax.rem(iteration, 2)
            copies = []
            for owner in range(blocks):
                _store(partial_grads_s.at[_units_of(owner)], sums[_rows_of(owner)])
                copies.append(
                    (partial_grads_s.at[_units_of(owner)], partial_grads.at[exchange, owner, units])
                )
            _hand_over(handed, *copies)
            following = inputs_of(step - 1)
            _take_over(handed, partial_grads.at[exchange, block], partial_grads_s, copied)
            hidden_grad = sum(
                _load(partial_grads_s.at[_units_of(other)]) for other in range(blocks)
            )
            return hidden_grad, cell_grad, previous, following

        last, zeros = jnp.int32(steps - 1), _zeros(rows)
        lax.fori_loop(0, steps, run, (zeros, zeros, cells_of(last), inputs_of(last)))

    out_type = [jax.ShapeDtypeStruct(gates.shape, jnp.float32), partial_grads]
    shared = [_operand(weights.shape[2:], dtype), _operand((rows, 4 * UNITS), dtype)]
    shared += [plgpu.SMEM((hidden, rows), jnp.float32)]
    kernel = _kernel(body, out_type, shared, groups, blocks, interpret)
    return kernel(weights, cells, gates, cotangent)[0]


def _kernel(body, out_type, shared, groups, blocks, interpret):
    """`body` for both directions and every group, by a cluster of `blocks` each. Its scratch: what
    is `shared` by a block's threads, a barrier for copies into that, and one for the cluster."""
    return plgpu.kernel(
        body,
        out_type=out_type,
        scratch_types=[*shared, plgpu.Barrier(), plgpu.ClusterBarrier(collective_axes=("block",))],
        grid=(2, groups),
        grid_names=("direction", "group"),
        cluster=(blocks,),
        cluster_names=("block",),
        compiler_params=plgpu.CompilerParams(unsafe_no_auto_barriers=True),
        interpret=plgpu.InterpretGPUParams(detect_races=True) if interpret else None,
    )


def _operand(shape, dtype):
    """Shared memory in the order wgmma wants its factors."""
    tile = plgpu.TilingTransform((8, _SWIZZLE // dtype.itemsize))
    return plgpu.SMEM(shape, dtype, transforms=(tile, plgpu.SwizzleTransform(_SWIZZLE)))


def _place():
    return tuple(lax.axis_index(name) for name in ("direction", "group", "block"))


def _product(weights_s, factor_s, meanwhile=lambda: None):
    """weights [m k] times factor [r k], in float32 [m r]; `meanwhile` is done beside it."""

    def run(sums):
        plgpu.wgmma(sums, weights_s, factor_s.T)
        meanwhile()
        return sums[...]

    shape = weights_s.shape[0], factor_s.shape[0]
    return pl.run_scoped(run, plgpu.ACC(shape, jnp.float32))


def _hand_over(handed, *copies):
    """What this block gives to its cluster: pairs of (place in shared memory, place in global)."""
    plgpu.commit_smem()
    for source, target in copies:
        plgpu.copy_smem_to_gmem(source, target)
    plgpu.wait_smem_to_gmem(0)
    plgpu.barrier_arrive(handed)


def _take_over(handed, source, target_s, copied):
    """What this block gets from its cluster, once all have handed over."""
    plgpu.barrier_wait(handed)
    _copy_in(source, target_s, copied)


def _copy_in(source, target_s, copied):
    plgpu.copy_gmem_to_smem(source, target_s, copied)
    plgpu.barrier_wait(copied)


def _rows_of(index):
    """Rows of a product that belong to gate (or block) number `index`."""
    return slice(index * UNITS, (index + 1) * UNITS)


def _units_of(index):
    """The same, for a number that may be traced."""
    return pl.ds(index * UNITS, UNITS)


def _zeros(rows):
    return plgpu.layout_cast(jnp.zeros((UNITS, rows), jnp.float32), plgpu.Layout.WGMMA)


def _load(ref):
    return plgpu.load(ref, layout=plgpu.Layout.WGMMA, optimized=False)


def _store(ref, value):
    plgpu.store(ref, value, optimized=False)


def _load_gates(ref, units):
    return tuple(_load(ref.at[gate, units]) for gate in range(4))


def _store_gates(ref, units, values):
    for gate, value in enumerate(values):
        _store(ref.at[gate, units], value)
