"""libgru.jax beside flax's nnx.RNN(nnx.GRUCell), all under jit, on one thread."""
import os
from collections.abc import Iterator

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import flax    # noqa: E402
import jax    # noqa: E402
import jax.numpy as jnp    # noqa: E402
from flax import nnx    # noqa: E402

import libgru.jax    # noqa: E402
from turns import CASES, Case    # noqa: E402

STOCK = "flax nnx.RNN(nnx.GRUCell)"


def title() -> str:
    return f"jax {jax.__version__}, flax {flax.__version__}"


def shape_cases(T: int, N: int, H: int) -> Iterator[Case]:
    h0 = jnp.zeros((N, H))
    cell, key = nnx.GRUCell(H, H, rngs=nnx.Rngs(0)), jax.random.key(0)
    x, dy = (jax.random.normal(each, (T, N, H)) for each in jax.random.split(key))
    layers = {STOCK: nnx.RNN(cell, time_major=True), "libgru.jax.GRU": libgru.jax.GRU(cell, time_major=True)}
    forwards, both, outputs = {}, {}, []
    for name, layer in layers.items():
        structure, state, rest = nnx.split(layer, nnx.Param, ...)
        run = jax.jit(lambda state, x, structure=structure, rest=rest: nnx.merge(structure, state, rest)(x, initial_carry=h0))
        gradients = jax.jit(jax.grad(lambda state, x, run=run: (run(state, x) * dy).sum(), argnums=(0, 1)))
        outputs.append(run(state, x))
        forwards[name] = lambda run=run, state=state: run(state, x).block_until_ready()
        both[name] = lambda gradients=gradients, state=state: jax.block_until_ready(gradients(state, x))
    assert jnp.abs(outputs[0] - outputs[1]).max() < 1e-5
    packed = libgru.jax.pack(*(0.1 * jax.random.normal(key, size) for size in ((3 * H, H), (3 * H, H), (3 * H,), (3 * H,))))
    run_packed = jax.jit(lambda x, packed: libgru.jax.gru_packed(x, h0, packed)[0])
    forwards["libgru.jax.gru_packed"] = lambda: run_packed(x, packed).block_until_ready()
    yield Case("forward", T, N, H, forwards)
    yield Case("forward + backward", T, N, H, both)


def cases(threads: int) -> Iterator[Case]:
    assert threads == 1, "JAX is measured on one thread"
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    for shape in CASES:
        yield from shape_cases(*shape)
