"""libgru.jax beside a scan over the equations, whose gradients JAX computes, and beside flax."""
from __future__ import annotations

import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import libgru
import libgru.jax

jax.config.update("jax_enable_x64", True)
T, N, I, H = 5, 3, 4, 6
NATIVE = Path(__file__).resolve().parents[2] / "native"


def draw(*shapes: tuple[int, ...], kind: Any = np.float64, seed: int = 0) -> list[Any]:
    random = np.random.default_rng(seed)
    return [jnp.asarray(random.uniform(-1, 1, shape).astype(kind)) for shape in shapes]


def drawn(kind: Any = np.float64, seed: int = 0, inputs: int = I, hidden: int = H) -> list[Any]:
    return draw((T, N, inputs), (N, hidden), (3 * hidden, inputs), (3 * hidden, hidden), (3 * hidden,), (3 * hidden,), kind=kind, seed=seed)


def by_scan(x: Any, h0: Any, W: Any, R: Any, bW: Any, bR: Any, *, mask: Any = None, reverse: bool = False, before: bool = False) -> Any:
    """The equations, one step after the other."""
    mask = jnp.ones(x.shape[:2], bool) if mask is None else mask
    size = h0.shape[1]

    def step(h: Any, given: Any) -> Any:
        a, kept = given[0] @ W.T + bW, given[1][:, None]
        c = h @ R.T + bR
        r, z = (jax.nn.sigmoid(a[:, k:k + size] + c[:, k:k + size]) for k in (0, size))
        last = (r * h) @ R[2 * size:].T + bR[2 * size:] if before else r * c[:, 2 * size:]
        new = jnp.where(kept, (1 - z) * jnp.tanh(a[:, 2 * size:] + last) + z * h, h)
        return new, jnp.where(kept, new, 0)
    h, y = jax.lax.scan(step, h0, (x, mask), reverse=reverse)
    return y, h


class Values(unittest.TestCase):
    def near(self, found: Any, wanted: Any, most: float = 1e-12) -> None:
        for a, b in zip(jax.tree_util.tree_leaves(found), jax.tree_util.tree_leaves(wanted), strict=True):
            np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=0, atol=most)

    def loss(self, function: Any, **options: Any) -> Any:
        def of(*given: Any) -> Any:
            y, h = function(*given, **options)
            return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum() + (h * h).sum()
        return jax.grad(of, argnums=tuple(range(6)))

    def test_outputs_and_gradients(self) -> None:
        lengths = jnp.array([5, 2, 4])
        mask = jnp.asarray(np.random.default_rng(1).uniform(size=(T, N)) < 0.7)
        for ours, theirs in (({}, {}), ({"reset": "before"}, {"before": True}),
                             ({"lengths": lengths}, {"mask": jnp.arange(T)[:, None] < lengths}),
                             ({"mask": mask, "reverse": True, "threads": 2}, {"mask": mask, "reverse": True})):
            for kind, most in ((np.float64, 1e-12), *([] if ours else [(np.float32, 1e-5)])):
                with self.subTest(ours=ours, kind=kind):
                    given = drawn(kind)
                    self.near(libgru.jax.gru(*given, **ours), by_scan(*given, **theirs), most)
                    found = self.loss(libgru.jax.gru, **ours)(*given)
                    self.assertEqual({array.dtype for array in found}, {np.dtype(kind)})
                    self.near(found, jax.jit(self.loss(by_scan, **theirs))(*given), most)

    def test_jit_scan_remat_and_vmap(self) -> None:
        given = drawn()
        wanted, gradient = by_scan(*given), jax.jit(self.loss(by_scan))(*given)
        self.near(jax.jit(libgru.jax.gru)(*given), wanted)
        self.near(jax.jit(self.loss(libgru.jax.gru))(*given), gradient)
        self.near(self.loss(jax.checkpoint(libgru.jax.gru))(*given), gradient)

        def by_steps(x: Any, h0: Any, *weights: Any) -> Any:
            def step(h: Any, row: Any) -> Any:
                y, h = libgru.jax.gru(row[None], h, *weights)
                return h, y[0]
            h, y = jax.lax.scan(step, h0, x)
            return y, h
        self.near(jax.jit(self.loss(by_steps))(*given), gradient)
        sets = [drawn(seed=seed) for seed in (3, 4)]
        stacked = [jnp.stack(pair) for pair in zip(*sets)]
        shared = [0, 0, None, None, None, None]
        together = [a if axis == 0 else a[0] for a, axis in zip(stacked, shared)]
        for axes, values in ((0, stacked), (shared, together)):
            wanted = jax.jit(jax.vmap(by_scan, axes))(*values)
            self.near(jax.vmap(libgru.jax.gru, axes)(*values), wanted)
            self.near(jax.jit(jax.vmap(libgru.jax.gru, axes))(*values), wanted)
            self.near(jax.jit(jax.vmap(self.loss(libgru.jax.gru), axes))(*values), jax.jit(jax.vmap(self.loss(by_scan), axes))(*values))
        nested = jax.vmap(jax.vmap(lambda x: libgru.jax.gru(x, *given[1:])))(jnp.stack([stacked[0]] * 2))
        self.near(nested[0][1, 1], by_scan(stacked[0][1], *given[1:])[0])

    def test_vmap_with_masks_and_lengths(self) -> None:
        given, x = drawn(), jnp.stack([drawn(seed=seed)[0] for seed in (3, 4)])
        lengths = jnp.array([[5, 1, 3], [2, 4, 5]])
        mask = jnp.arange(T)[:, None] < lengths[:, None, :]
        wanted = jnp.stack([by_scan(x[k], *given[1:], mask=mask[k])[0] for k in range(2)])
        self.near(jax.vmap(lambda x, n: libgru.jax.gru(x, *given[1:], lengths=n)[0])(x, lengths), wanted)
        self.near(jax.vmap(lambda x, m: libgru.jax.gru(x, *given[1:], mask=m)[0])(x, mask), wanted)
        self.near(jax.vmap(lambda x: libgru.jax.gru(x, *given[1:], mask=mask[0])[0])(x)[0], wanted[0])

    def test_a_row_has_the_same_bits_in_every_batch(self) -> None:
        for kind in (np.float32, jnp.bfloat16):
            x, h0, *weights = drawn(kind, hidden=40)
            whole = jax.jit(libgru.jax.gru)(x, h0, *weights)[0]
            for alone in (libgru.jax.gru(x[:, 1:2], h0[1:2], *weights)[0][:, 0], libgru.jax.gru(x[:, 1], h0[1], *weights)[0],
                          jax.vmap(lambda row, h: libgru.jax.gru(row, h, *weights)[0], (1, 0))(x, h0)[1]):
                self.assertTrue(np.array_equal(alone, whole[:, 1]))
        same = libgru.Layer(*map(np.asarray, drawn(np.float32, hidden=40)[2:])).forward(*map(np.asarray, drawn(np.float32, hidden=40)[:2]))
        self.assertTrue(np.array_equal(same.y, libgru.jax.gru(*drawn(np.float32, hidden=40))[0]))

    def test_packed_weights(self) -> None:
        x, h0, *weights = drawn()
        packed = libgru.jax.pack(*weights, reverse=True)
        wanted = by_scan(x, h0, *weights, reverse=True)
        self.near(libgru.jax.gru_packed(x, h0, packed), wanted)
        self.near(jax.jit(libgru.jax.gru_packed)(x, h0, packed), wanted)
        self.near(jax.jit(lambda p: jax.lax.fori_loop(0, 3, lambda k, h: libgru.jax.gru_packed(x[:1], h, p)[1], h0))(packed),
                  by_scan(jnp.concatenate([x[:1]] * 3), h0, *weights)[1])

    def test_no_steps_no_sequences_no_states_and_other_types(self) -> None:
        x, h0, *weights = drawn()
        y, h = libgru.jax.gru(x[:0], h0, *weights)
        self.assertTrue(y.shape == (0, N, H) and np.array_equal(h, h0))
        self.assertEqual([array.shape for array in libgru.jax.gru(x[:, :0], h0[:0], *weights)], [(T, 0, H), (0, H)])
        self.near(libgru.jax.gru(x, None, *weights[:2]), by_scan(x, h0 * 0, *weights[:2], weights[2] * 0, weights[3] * 0))
        for kind in (jnp.bfloat16, np.float16):
            given = drawn(kind)
            found = libgru.jax.gru(*given)
            self.assertEqual(found[0].dtype, kind)
            self.near(found, by_scan(*[array.astype(np.float64) for array in given]), 0.03)
            self.assertEqual(self.loss(libgru.jax.gru)(*given)[2].dtype, kind)

    def test_export(self) -> None:
        given = drawn(np.float32)
        allowed = [jax.export.DisabledSafetyCheck.custom_call(f"libgru_jax_{name}") for name in ("pack", "infer")]
        exported = jax.export.export(jax.jit(libgru.jax.gru), disabled_checks=allowed)(*given)
        self.near(jax.export.deserialize(exported.serialize()).call(*given), libgru.jax.gru(*given), 0)


class Refusals(unittest.TestCase):
    def test_derivatives_that_libgru_lacks(self) -> None:
        x, *rest = drawn()

        def of(x: Any) -> Any:
            return libgru.jax.gru(x, *rest)[0].sum()
        with self.assertRaisesRegex(TypeError, "forward-mode"):
            jax.jvp(of, (x,), (x,))
        with self.assertRaisesRegex(ValueError, "cannot be differentiated"):
            jax.grad(lambda x: jax.grad(of)(x).sum())(x)
        packed = libgru.jax.pack(*rest[1:])
        with self.assertRaisesRegex(ValueError, "cannot be differentiated"):
            jax.grad(lambda x: libgru.jax.gru_packed(x, rest[0], packed)[0].sum())(x)

    def test_wrong_arguments(self) -> None:
        x, h0, W, R, bW, bR = drawn(np.float32)
        for words, given, named in (
                ("x is float32.5, 3, 3., expected float32.T, N, 4.", (x[:, :, :3], h0, W, R), {}),
                ("x is float64", (x.astype(np.float64), h0, W, R), {}),
                ("h0 is float32.2, 6., expected float32.3, 6.", (x, h0[:2], W, R), {}),
                ("W is .17, 4. and R is", (x, h0, W[:17], R[:17]), {}), ("W is float32.17, 4.", (x, h0, W[:17], R), {}),
                ("bW is float32.6., expected float32.18.", (x, h0, W, R, h0[0]), {}), ("R is int32", (x, h0, W, R.astype(np.int32)), {}),
                ("lengths is float32", (x, h0, W, R), {"lengths": h0[:, 0]}), ("expected one of them", (x, h0, W, R), {
                    "lengths": jnp.array([1, 1, 1]), "mask": jnp.ones((5, 3), bool)}),
                ("mask is int32.5, 3., expected bool.5, 3.", (x, h0, W, R), {"mask": jnp.ones((5, 3), np.int32)}),
                ("threads is -1", (x, h0, W, R), {"threads": -1}), ("reset is 'befor'", (x, h0, W, R), {"reset": "befor"}),
                ("packed is a", (x, h0), {"packed": W})):
            with self.subTest(words=words), self.assertRaisesRegex(libgru.BadArgument, words):
                (libgru.jax.gru_packed if "packed" in named else libgru.jax.gru)(*given, **named)
            if "packed" not in named:
                with self.assertRaisesRegex(libgru.BadArgument, words):
                    jax.jit(lambda *a: libgru.jax.gru(*a, **named))(*given)
        with self.assertRaisesRegex(Exception, "libgru: run.lengths.1. is 6, expected 0 to T"):
            libgru.jax.gru(x, h0, W, R, lengths=jnp.array([1, 6, 1]))[0].block_until_ready()

    def test_calls_by_hand(self) -> None:
        """Wrong buffers and attributes get a sentence too."""
        x, h0, W, R, bW, bR = drawn(np.float32)
        libgru.jax.gru(x, h0, W, R)
        result = jax.ShapeDtypeStruct((10,), np.uint8)
        config = np.zeros(3, np.int32)
        for words, given, named in (("no attribute config", (W, R, bW, bR), {}), ("no attribute config", (W, R, bW, bR), {"config": config}),):
            with self.assertRaisesRegex(Exception, words):
                jax.ffi.ffi_call("libgru_jax_pack", result)(*given, **named).block_until_ready()
        from libgru.jax._gru import _weights
        layer = _weights(libgru.Variant(), False, 1, W, R, bW, bR)[0]
        for words, given in (("too few buffers", (W, R, bW)), ("argument 1 has 12 numbers", (W, R[:2], bW, bR)),
                             ("of type 12, expected 18 of type 11", (W, R, bW.astype(np.float64), bR)), ("result 0 has 10", (W, R, bW, bR))):
            with self.assertRaisesRegex(Exception, words):
                jax.ffi.ffi_call("libgru_jax_pack", result)(*given, config=layer.config).block_until_ready()


class Flax(unittest.TestCase):
    def pair(self, **options: Any) -> tuple[Any, Any]:
        cell = nnx.GRUCell(I, H, rngs=nnx.Rngs(0))
        cell.dense_i.bias[...] = draw((3 * H,), kind=np.float32)[0]
        return nnx.RNN(cell, **options), libgru.jax.GRU(cell, **options)

    def near(self, found: Any, wanted: Any) -> None:
        for a, b in zip(jax.tree_util.tree_leaves(found), jax.tree_util.tree_leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)

    def test_calls(self) -> None:
        x = draw((N, T, I), kind=np.float32)[0]
        for options in ({}, {"reverse": True}, {"reverse": True, "keep_order": True}, {"return_carry": True}):
            stock, ours = self.pair(**options)
            self.near(ours(x), stock(x))
            self.near(ours(jnp.stack([x, x])), stock(jnp.stack([x, x])))
            self.near(ours(x[0]), stock(x[0]))
        stock, ours = self.pair(time_major=True, return_carry=True)
        carry = draw((T, H), kind=np.float32)[0]
        self.near(ours(x, initial_carry=carry), stock(x, initial_carry=carry))
        stock, ours = self.pair()
        lengths = jnp.array([5, 2, 3])
        found, wanted = (module(x, seq_lengths=lengths, return_carry=True) for module in (ours, stock))
        self.near(found[0], wanted[0])
        inside = (jnp.arange(T) < lengths[:, None])[:, :, None]
        self.near(jnp.where(inside, found[1], 0), jnp.where(inside, wanted[1], 0))
        both = [nnx.Bidirectional(module, module)(x) for module in (ours, stock)]
        self.near(*both)

    def test_training(self) -> None:
        x = draw((N, T, I), kind=np.float32)[0]
        stock, ours = self.pair()

        def loss(module: Any) -> Any:
            return (module(x) ** 2).sum()
        found, wanted = (nnx.to_pure_dict(nnx.jit(nnx.grad(loss))(module)) for module in (ours, stock))
        self.assertEqual(jax.tree_util.tree_structure(found), jax.tree_util.tree_structure(wanted))
        for a, b in zip(jax.tree_util.tree_leaves(found), jax.tree_util.tree_leaves(wanted)):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)

    def test_refusals(self) -> None:
        with self.assertRaisesRegex(libgru.Unsupported, "cell is a LSTMCell"):
            libgru.jax.GRU(nnx.LSTMCell(I, H, rngs=nnx.Rngs(0)))
        with self.assertRaisesRegex(libgru.Unsupported, "activation_fn is softmax"):
            libgru.jax.GRU(nnx.GRUCell(I, H, activation_fn=jax.nn.softmax, rngs=nnx.Rngs(0)))
        with self.assertRaisesRegex(libgru.BadArgument, "inputs have 1 axes"):
            self.pair()[1](jnp.zeros(3))

    def test_other_functions(self) -> None:
        x = draw((N, T, I), kind=np.float32)[0]
        for gate, candidate in ((jax.nn.hard_sigmoid, jax.nn.relu), (jax.nn.sigmoid, jax.nn.silu)):
            cell = nnx.GRUCell(I, H, gate_fn=gate, activation_fn=candidate, rngs=nnx.Rngs(0))
            self.near(libgru.jax.GRU(cell)(x), nnx.RNN(cell)(x))


class Declarations(unittest.TestCase):
    def test_xla_s_headers_say_the_same(self) -> None:
        """Places and constants of python/native/xla_ffi.h are those of the installed jaxlib."""
        members = {("xla_extension", "Extension_Base"): "struct_size type next", ("xla_version", "Api_Version"): "major_version minor_version",
                   ("xla_metadata", "Metadata"): "api_version traits", ("xla_metadata_extension", "Metadata_Extension"): "metadata",
                   ("xla_error_arguments", "Error_Create_Args"): "message errc", ("xla_api", "Api"): "api_version XLA_FFI_Error_Create",
                   ("xla_buffer", "Buffer"): "dtype data rank dims", ("xla_text", "ByteSpan"): "ptr len",
                   ("xla_array", "Array"): "dtype size data", ("xla_attributes", "Attrs"): "size types names attrs",
                   ("xla_call", "CallFrame"): "api ctx stage args rets attrs"}
        lines = [f"static_assert(offsetof({ours}, {name}) == offsetof(XLA_FFI_{theirs}, {name}));" for (ours, theirs), names in members.items()
                 for name in names.split()]
        lines += [f"static_assert(offsetof(xla_buffers, size) == offsetof(XLA_FFI_{each}, size) && offsetof(xla_buffers, values) == "
                  f"offsetof(XLA_FFI_{each}, {each.lower()}));" for each in ("Args", "Rets")]
        values = {"XLA_BOOL": "DataType_PRED", "XLA_S32": "DataType_S32", "XLA_U8": "DataType_U8", "XLA_F16": "DataType_F16",
                  "XLA_F32": "DataType_F32", "XLA_F64": "DataType_F64", "XLA_BF16": "DataType_BF16", "XLA_BUFFER": "ArgType_BUFFER",
                  "XLA_ARRAY": "AttrType_ARRAY", "XLA_EXTENSION_METADATA": "Extension_Metadata", "XLA_STAGE_EXECUTE": "ExecutionStage_EXECUTE",
                  "XLA_INVALID_ARGUMENT": "Error_Code_INVALID_ARGUMENT", "XLA_OUT_OF_MEMORY": "Error_Code_RESOURCE_EXHAUSTED",
                  "XLA_UNIMPLEMENTED": "Error_Code_UNIMPLEMENTED", "XLA_INTERNAL": "Error_Code_INTERNAL"}
        lines += [f"static_assert((int){ours} == (int)XLA_FFI_{theirs});" for ours, theirs in values.items()]
        lines.append("static_assert(XLA_VERSION_MAJOR == XLA_FFI_API_MAJOR && XLA_VERSION_MINOR <= XLA_FFI_API_MINOR);")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source.cpp"
            source.write_text("\n".join([f'#include "{NATIVE}/xla_ffi.h"', '#include "xla/ffi/api/c_api.h"', *lines]))
            ran = subprocess.run(["g++", "-std=c++17", "-fsyntax-only", "-I", jax.ffi.include_dir(), str(source)], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stderr)


if __name__ == "__main__":
    unittest.main()
