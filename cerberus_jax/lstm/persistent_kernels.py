"""The two kernels of the persistent recurrence, in Pallas Mosaic GPU for NVIDIA Hopper.

One cluster of blocks works on one direction of one group of examples for the whole sequence. Block
k owns 64 hidden units: their recurrent weights stay in its shared memory, their cell states in its
registers. Nothing is launched and no weight is read again between two steps; all that is left is
to hand the hidden state (backward: its gradient) from block to block once per step.

wgmma takes 64 rows at least, so the weights are its rows and the examples its columns: groups of 8
examples cost no more than the weights they meet, and small groups fill more of the chip. Arrays
that only one block reads and writes therefore lie as [units, examples], the order of the
accumulator; loads and stores then go straight between registers and global memory. The factor that
the blocks share lies as [examples, units], the order in which wgmma wants the sum's axis.

The exchange goes through global memory, that is through L2, by TMA: a block copies its part out,
waits until the copy has been performed (not only read), and then arrives at the barrier of every
block of the cluster, itself included; a block that has seen all arrivals copies all parts in. TMA
goes past L1, so what it reads cannot be stale. A block waits for the arrivals of the last step too,
hence none ends while others still signal it.

Automatic barriers around every store are off. They are not needed here: a buffer in shared memory
that threads write is next read by TMA or wgmma, and `commit_smem` (fence and barrier of the
warpgroup) stands between; every buffer's next writer comes after another such barrier.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Float

from cerberus_jax.lstm.persistent_plan import UNITS

_SWIZZLE = 128
"""Bytes; rows of shared memory that wgmma reads are mixed in pieces of this length."""


def forward(
    gate_inputs: Float[Array, "2 t n 4 u r"],
    weights: Float[Array, "2 k g u"],
    *,
    keep: bool,
    interpret: bool,
) -> list:
    """Hidden states [2 t n*r u] in the weights' type; with `keep` also cells [2 t n u r] and gates
    [2 t n 4 u r] in float32.

    Args:
        gate_inputs: float32; n groups of r examples, u hidden units (multiple of 64).
        weights: block k's rows are its 4 gates of 64 units each, in the type of the products.
        interpret: on the CPU, with the search for races.
    """
    _, steps, groups, _, hidden, rows = gate_inputs.shape
    dtype = weights.dtype
    out_type = [jax.ShapeDtypeStruct((2, steps, groups * rows, hidden), dtype)]
    if keep:
        out_type += [
            jax.ShapeDtypeStruct((2, steps, groups, hidden, rows), jnp.float32),
            jax.ShapeDtypeStruct(gate_inputs.shape, jnp.float32),
        ]

    def body(gate_inputs, weights, *refs):
        (hidden_out, *kept), (weights_s, all_s, own_s, copied, handed) = refs[:-5], refs[-5:]
        place, units, examples = _place(rows)
        _resident(weights, weights_s, copied)

        def inputs_of(step):
            return _load_gates(gate_inputs, step, units)

        def run(step, carry):
            cell, pre = carry
            in_gate, forget, out_gate = (jax.nn.sigmoid(pre[gate]) for gate in (0, 1, 3))
            update = jnp.tanh(pre[2])
            cell = forget * cell + in_gate * update
            hidden = out_gate * jnp.tanh(cell)
            plgpu.store(own_s.T, hidden.astype(dtype), optimized=False)
            _hand_over(handed, (own_s, hidden_out.at[place[0], step, examples, units]))
            # While the others' parts are on their way: write what is kept, read the next inputs.
            if kept:
                _store(kept[0].at[place[0], step, place[1], units], cell)
                _store_gates(kept[1], step, units, (in_gate, forget, update, out_gate))
            next_inputs = inputs_of(jnp.minimum(step + 1, steps - 1))
            _take_over(hidden_out.at[place[0], step, examples], all_s, handed, copied)
            sums = _product(weights_s, all_s)
            pre = [next_inputs[gate] + _part(sums, gate) for gate in range(4)]
            return cell, pre

        lax.fori_loop(0, steps, run, (_zeros(rows), inputs_of(0)))

    shared = [(rows, hidden), (rows, UNITS)]
    return _kernel(body, out_type, weights, groups, shared, [], interpret)(gate_inputs, weights)


def backward(
    weights: Float[Array, "2 k u g"],
    cells: Float[Array, "2 t n u r"],
    gates: Float[Array, "2 t n 4 u r"],
    cotangent: Float[Array, "2 t n u r"],
    *,
    interpret: bool,
) -> Float[Array, "2 t n 4 u r"]:
    """Gradients of the gate inputs.

    Every block multiplies the gradients of its own gates by the same weights as in `forward` and
    gets a part of the sum for every hidden unit; the parts are then added by the units' owners,
    always in the order of the blocks. The other way, every block fetching the gradients of all
    gates, would send half as much but keep four times a hidden state in shared memory: room for
    groups of 16 examples where this has room for 32.

    Args:
        weights: block k's columns are its 4 gates of 64 units each, in the type of the products.
        cells, gates: what `forward` kept.
        cotangent: gradient of the hidden states, in the order of `cells`.
    """
    _, steps, groups, _, hidden, rows = gates.shape
    blocks = hidden // UNITS
    # Blocks write into one half of `parts` while a slower one still reads the other.
    parts_type = jax.ShapeDtypeStruct((2 * groups * 2, blocks, hidden, rows), jnp.float32)

    def body(weights, cells, gates, cotangent, grads, parts, weights_s, grads_s, parts_s, *bars):
        copied, handed = bars
        place, units, _ = _place(rows)
        block = lax.axis_index("block")
        _resident(weights, weights_s, copied)

        def cells_of(step):
            kept = _load(cells.at[place[0], jnp.maximum(step, 0), place[1], units])
            return kept * (step >= 0).astype(jnp.float32)

        def kept_of(step):
            """A step's gates, the cells before it, and the gradient its hidden state gets from
            outside the recurrence."""
            present = jnp.maximum(step, 0)
            outside = _load(cotangent.at[place[0], present, place[1], units])
            return _load_gates(gates, present, units), cells_of(step - 1), outside

        def run(iteration, carry):
            step = steps - 1 - iteration
            hidden_grad, cell_grad, cell, ((in_gate, forget, update, out_gate), before, outside) = carry
            hidden_grad = hidden_grad + outside
            squashed = jnp.tanh(cell)
            cell_grad = cell_grad + hidden_grad * out_gate * (1 - squashed * squashed)
            gate_grads = (
                cell_grad * update * in_gate * (1 - in_gate),
                cell_grad * before * forget * (1 - forget),
                cell_grad * in_gate * (1 - update * update),
                hidden_grad * squashed * out_gate * (1 - out_gate),
            )
            for gate, grad in enumerate(gate_grads):
                own = grads_s.at[:, pl.ds(gate * UNITS, UNITS)].T
                plgpu.store(own, grad.astype(weights.dtype), optimized=False)
            plgpu.commit_smem()
            sums = _product(
                weights_s, grads_s, lambda: _store_gates(grads, step, units, gate_grads)
            )
            for other in range(blocks):
                _store(parts_s.at[_of(other)], _part(sums, other))
            half = (place[0] * groups + place[1]) * 2 + lax.rem(iteration, 2)
            copies = [
                (parts_s.at[_of(other)], parts.at[half, other, units]) for other in range(blocks)
            ]
            _hand_over(handed, *copies)
            following = kept_of(step - 1)
            _take_over(parts.at[half, block], parts_s, handed, copied)
            hidden_grad = sum(_load(parts_s.at[_of(other)]) for other in range(blocks))
            return hidden_grad, cell_grad * forget, before, following

        last = jnp.int32(steps - 1)
        zeros = _zeros(rows)
        lax.fori_loop(0, steps, run, (zeros, zeros, cells_of(last), kept_of(last)))

    out_type = [jax.ShapeDtypeStruct(gates.shape, jnp.float32), parts_type]
    shared, plain = [(rows, 4 * UNITS)], [(hidden, rows)]
    kernel = _kernel(body, out_type, weights, groups, shared, plain, interpret)
    return kernel(weights, cells, gates, cotangent)[0]


def _kernel(body, out_type, weights, groups, mixed, plain, interpret):
    """`body` over both directions and all groups, with the shared memory of a block: its weights,
    the `mixed` shapes in the type of the products, the `plain` shapes in float32; then a barrier
    for copies into shared memory and one for what the cluster's blocks hand to each other."""
    blocks, dtype = weights.shape[1], weights.dtype
    piece = _SWIZZLE // dtype.itemsize
    transforms = (plgpu.TilingTransform((8, piece)), plgpu.SwizzleTransform(_SWIZZLE))
    buffers = [
        plgpu.SMEM(shape, dtype, transforms=transforms) for shape in (weights.shape[2:], *mixed)
    ]
    buffers += [plgpu.SMEM(shape, jnp.float32) for shape in plain]
    return plgpu.kernel(
        body,
        out_type=out_type,
        scratch_types=[*buffers, plgpu.Barrier(), plgpu.ClusterBarrier(collective_axes=("block",))],
        grid=(2, groups),
        grid_names=("direction", "group"),
        cluster=(blocks,),
        cluster_names=("block",),
        compiler_params=plgpu.CompilerParams(unsafe_no_auto_barriers=True),
        interpret=plgpu.InterpretGPUParams(detect_races=True) if interpret else None,
    )


def _place(rows):
    """(direction, group), this block's hidden units, and its group's examples."""
    place = lax.axis_index("direction"), lax.axis_index("group")
    return place, _of(lax.axis_index("block")), pl.ds(place[1] * rows, rows)


def _resident(weights, weights_s, copied):
    """The block's weights into its shared memory, once."""
    here = weights.at[lax.axis_index("direction"), lax.axis_index("block")]
    plgpu.copy_gmem_to_smem(here, weights_s, copied)
    plgpu.barrier_wait(copied)


def _product(weights_s, factor_s, meanwhile=None):
    """weights [m k] @ factor.T [k r] in float32; `meanwhile` runs beside the product."""

    def run(sums):
        plgpu.wgmma(sums, weights_s, factor_s.T)
        if meanwhile is not None:
            meanwhile()
        return sums[...]

    shape = weights_s.shape[0], factor_s.shape[0]
    return pl.run_scoped(run, plgpu.ACC(shape, jnp.float32))


def _of(block):
    """The units of a block."""
    return pl.ds(block * UNITS, UNITS)


def _part(sums, index):
    return sums[index * UNITS : (index + 1) * UNITS]


def _hand_over(handed, *copies):
    """Parts of this block, pairs of (where they lie, where they go), to the cluster's blocks."""
    plgpu.commit_smem()
    for own_s, target in copies:
        plgpu.copy_smem_to_gmem(own_s, target)
    plgpu.wait_smem_to_gmem(0)
    plgpu.barrier_arrive(handed)


def _take_over(source, all_s, handed, copied):
    """All blocks' parts into this block's shared memory."""
    plgpu.barrier_wait(handed)
    plgpu.copy_gmem_to_smem(source, all_s, copied)
    plgpu.barrier_wait(copied)


def _zeros(rows):
    return plgpu.layout_cast(jnp.zeros((UNITS, rows), jnp.float32), plgpu.Layout.WGMMA)


def _load(ref):
    """Into registers, in the order of wgmma's accumulator."""
    return plgpu.load(ref, layout=plgpu.Layout.WGMMA, optimized=False)


def _store(ref, value):
    plgpu.store(ref, value, optimized=False)


def _load_gates(ref, step, units):
    return [_load(_gate(ref, step, gate, units)) for gate in range(4)]


def _store_gates(ref, step, units, gates):
    for gate, value in enumerate(gates):
        _store(_gate(ref, step, gate, units), value)


def _gate(ref, step, gate, units):
    return ref.at[lax.axis_index("direction"), step, lax.axis_index("group"), gate, units]
