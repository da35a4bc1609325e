"""Wrong arguments, arrays of other packages, lifetimes: an exception with a sentence, or the right numbers; never a crash."""
from __future__ import annotations

import ctypes
import gc
import os
import tempfile
import threading
import tracemalloc
import unittest
from pathlib import Path
from typing import Any

import numpy as np

from support import GOLDEN, Draw, child, compiled

import libgru
from libgru import _dlpack
from libgru._library import library
from libgru.convert import safetensors
from libgru.convert.tensor import Tensor

T, N, I, H = 5, 3, 4, 6


class Interface:
    """An array of no known package, with __array_interface__ alone."""

    def __init__(self, array: Any) -> None:
        self.array = array

    @property
    def __array_interface__(self) -> Any:
        return self.array.__array_interface__


class Exported:
    """The same with DLPack alone, of the old version or the new one."""

    def __init__(self, array: Any, versioned: bool) -> None:
        self.array, self.versioned = array, versioned

    def __dlpack__(self, **options: Any) -> Any:
        if options and not self.versioned:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        return self.array.__dlpack__(**options)


class Elsewhere(Exported):
    """An array whose DLPack says that it is on another device."""

    def __init__(self, array: Any, device: int) -> None:
        super().__init__(array, False)
        self.device = device

    def __dlpack__(self, **options: Any) -> Any:
        capsule = super().__dlpack__(**options)
        ctypes.c_int32.from_address(_dlpack._pointer(capsule, b"dltensor") + _dlpack._Tensor.device.offset).value = self.device
        return capsule


class Arguments(unittest.TestCase):
    def setUp(self) -> None:
        draw = Draw(1)
        self.weights = draw.weights(I, H)
        self.layer = libgru.Layer(*self.weights)
        self.x, self.h0 = draw(T, N, I), draw(N, H)

    def refused(self, words: str, function: Any, *given: Any, error: type[Exception] = libgru.BadArgument, **named: Any) -> None:
        with self.assertRaises(error) as caught:
            function(*given, **named)
        self.assertIn(words, str(caught.exception))

    def test_types_and_shapes(self) -> None:
        forward, x = self.layer.forward, self.x
        self.refused("x is f64, expected f32", forward, x.astype(np.float64))
        self.refused("x has elements of type complex64", forward, x.astype(np.complex64))
        self.refused("x has elements of type >f4", forward, x.astype(">f4"))
        self.refused("x is a list, expected an array", forward, x.tolist())
        self.refused("x has the shape [5][4], expected [any][any][4]", forward, x[:, 0])
        self.refused("x has the shape [5][3][3], expected [any][any][4]", forward, x[:, :, :3])
        self.refused("h0 has the shape [2][6], expected [3][6]", forward, x, self.h0[:2])
        self.refused("lengths is int64, expected int32", forward, x, lengths=np.array([1, 2, 3]))
        self.refused("expected either x or projected", forward)
        self.refused("run.lengths[1] is 6", forward, x, lengths=np.array([1, 6, 3], np.int32), error=libgru.BadData)
        self.refused("W has the shape [17][4], expected [18][4]", libgru.Layer, self.weights[0][:17], self.weights[1])
        self.refused("bW is f64, expected f32", libgru.Layer, *self.weights[:2], self.weights[2].astype(np.float64))
        self.refused("reset is 'befor', expected after, before, all", libgru.Layer, *self.weights, reset="befor")
        self.refused("direction is 'up'", libgru.Layer, *self.weights, direction="up")
        self.refused("io_type is 'float32', expected f32", libgru.Layer, *self.weights, io_type="float32")
        self.refused("config.clip is -1", libgru.Layer, *self.weights, clip=-1.0)
        self.refused("backend is 'gpu', expected auto, cpu, cuda", libgru.Context, "gpu")
        self.refused("cpu_avx3", libgru.Context, engine="cpu_avx3")

    def test_types_name_what_they_follow(self) -> None:
        W, R, bW, _ = self.weights
        self.refused("W is f32, expected f64, the type of R", libgru.Layer, W, R.astype(np.float64))
        self.refused("bW is f64, expected f32, the type of R", libgru.Layer, W, R, bW.astype(np.float64))
        self.refused("mask is f32, expected bool or uint8", self.layer.forward, self.x, mask=np.ones((T, N), np.float32))
        self.refused("x is bool or uint8, expected f32", self.layer.forward, self.x > 0)

    def test_numbers_that_c_would_cut(self) -> None:
        """ctypes drops the upper bits of integers, and C what follows a NUL."""
        self.refused("threads is 4294967297, expected 0 to 1024", libgru.Context, threads=2**32 + 1)
        self.refused("threads is '2', expected 0 to 1024", libgru.Context, threads="2")
        self.refused("device is 4294967296, expected 0 to", libgru.Context, device=2**32)
        self.refused("engine is 'cpu_scalar\\x00', expected no NUL", libgru.Context, engine="cpu_scalar\0")
        self.refused("T is 18446744073709551617, expected 0 to", self.layer.engine, 2**64 + 1)
        stream = libgru.Stream(self.layer, rows=np.int64(2))
        self.refused("row is 18446744073709551616, expected 0 to 1", stream.reset, 2**64)
        self.refused("row is -1, expected 0 to 1", stream.reset, -1)
        self.refused("rows is 18446744073709551617, expected 1 to", libgru.Stream, self.layer, 2**64 + 1)
        stack = libgru.Stack.from_state(dict(zip(("weight_ih_l0", "weight_hh_l0"), self.weights)))
        self.refused("k is 4294967296, expected 0 to 0", stack.update, 2**32, libgru.Weights(*self.weights))
        self.refused("path is b'a\\x00b', expected no NUL", libgru.Stack.load, "a\0b")
        self.refused("prefix is 'gru.\\x00x', expected no NUL", libgru.Stack.load, GOLDEN / "samples/encoder.safetensors", "gru.\0x")

    def test_interfaces_that_are_none(self) -> None:
        good = dict(self.x.__array_interface__)
        for changed, words in (({"data": None}, "cannot be read"), ({"data": self.x.tobytes()}, "cannot be read"),
                               ({"data": (-4, False)}, "data -0x4"), ({"data": ("0", False)}, "cannot be read"),
                               ({"shape": (-T, N, I)}, "shape (-5, 3, 4)"), ({"shape": (5.0, N, I)}, "cannot be read"),
                               ({"shape": 5}, "cannot be read"), ({"strides": (48, 16)}, "strides (48, 16)"),
                               ({"strides": ()}, "strides ()"),
                               ({"strides": "abc"}, "cannot be read"), ({"strides": (2**66, 16, 4)}, "strides (7378"),
                               ({"shape": (2**62, N, I)}, "shape (4611"), ({"typestr": None}, "elements of type")):
            fake = type("Fake", (), {"__array_interface__": good | changed})()
            with self.subTest(changed):
                self.refused(words, self.layer.forward, fake)
        self.refused("gave 5, expected a capsule", self.layer.forward, type("Fake", (), {"__dlpack__": lambda self, **_: 5})())
        self.refused("x is a Fake, expected an array", self.layer.forward, type("Fake", (), {"__array_interface__": 5})())

    def test_objects_of_other_classes(self) -> None:
        self.refused("context is a int, expected a libgru.Context", libgru.Layer, *self.weights, context=0)
        self.refused("model is a NoneType, expected a libgru.Layer or libgru.Stack", libgru.Stream, None)

    def test_strides(self) -> None:
        forward, x = self.layer.forward, self.x
        wide = np.zeros((T, N, 2 * I), np.float32)
        self.refused("x has the stride 2 in its last axis, expected 1", forward, wide[:, :, ::2])
        self.refused("x has the stride -12 in axis 0, expected one above zero", forward, x[::-1])
        self.refused("x has the stride 0 in axis 1", forward, np.broadcast_to(x[:, :1], x.shape))
        self.refused("W has strides of (1, 18) elements", libgru.Layer, np.asfortranarray(self.weights[0]), self.weights[1])
        self.refused("h0 has the stride 0 in axis 0", forward, x, np.broadcast_to(self.h0[:1], (N, H)))
        odd = np.zeros(T * N * I * 4 + 1, np.uint8)[1:].view(np.float32).reshape(T, N, I)
        self.refused("run.x", forward, odd)

    def test_devices(self) -> None:
        self.refused("x is in CUDA memory, but the context needs host memory", self.layer.forward, Elsewhere(self.x, 2))
        self.refused("x is on DLPack device 8, expected host or CUDA memory", self.layer.forward, Elsewhere(self.x, 8))
        self.refused("W is in CUDA memory", libgru.Layer, Elsewhere(self.weights[0], 2), *self.weights[1:])

    def test_large_arrays_are_not_copied(self) -> None:
        """Batch first, every other step, and columns of a wider array: a run takes less memory than one of them."""
        steps = 2000
        wide = Draw(3)(N, 2 * steps, 2 * I)
        y = np.zeros((steps, N, H), np.float32)
        for x in (wide[:, :steps, :I], wide[:, ::2, I:], wide[:, steps:, 1:I + 1]):
            x = x.transpose(1, 0, 2)
            self.layer.forward(x, y=y)    # the workspace is kept
            tracemalloc.start()
            self.layer.forward(x, y=y)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertLess(peak, x.nbytes // 4)

    def test_ragged_batches(self) -> None:
        forward, rows, order = self.layer.forward, self.x.reshape(-1, I), np.array([0, 1])
        self.refused("x has the shape [5][3][4], expected [15][4]", forward, self.x, offsets=np.array([0, 10, 15]))
        self.refused("x has the shape [15][4], expected [14][4]", forward, rows, offsets=np.array([0, 14]))
        self.refused("offsets is empty, expected 1", forward, rows, offsets=np.zeros(0, np.int64))
        self.refused("offsets is int32, expected int64", forward, rows, offsets=np.array([0, 15], np.int32))
        self.refused("offsets has the number -1", forward, rows, offsets=np.array([0, -1, 15]), error=libgru.BadData)
        self.refused("offsets[1]", forward, rows, offsets=np.array([0, 20, 15]), error=libgru.BadData)
        self.refused("batch_sizes[2] is 3", forward, rows[:8], batch_sizes=np.array([3, 2, 3]), error=libgru.BadData)
        self.refused("batch_order", forward, rows[:4], batch_sizes=np.array([2, 2]), batch_order=order * 0, error=libgru.BadData)
        self.refused("there are no batch_sizes", forward, self.x, batch_order=order)
        self.refused("mask is given, and offsets", forward, rows, offsets=np.array([0, 15]), mask=np.ones((5, 3), bool))
        self.refused("offsets[0] is 1, expected 0", forward, rows, offsets=np.array([1, 15]), error=libgru.BadData)
        self.refused("batch_sizes[1] is 3, expected at most batch_sizes[0], which is 1", forward, rows[:4], batch_sizes=np.array([1, 3]),
                     error=libgru.BadData)
        self.refused("at most one", forward, rows, offsets=np.array([0, 15]), lengths=np.array([15], np.int32))

    def test_nothing_is_written_where_it_must_not_be(self) -> None:
        y = np.zeros((T, N, H), np.float32)
        y.flags.writeable = False
        self.refused("y is read-only", self.layer.forward, self.x, y=y)
        shared = np.zeros((T, N, H), np.float32)
        self.refused("overlaps", self.layer.forward, self.x, y=shared, hT=shared[0])
        self.assertFalse(shared.any())
        run = self.layer.forward_training(self.x)
        self.refused("dy has the shape [5][3][4]", run.backward, self.x)
        self.refused("there is no out to add to", run.backward, add=True)
        self.refused("dhT has strides of (0, 1) elements", run.backward, dhT=np.broadcast_to(self.h0[:1], (N, H)))

    def test_empty_batches_and_sequences(self) -> None:
        y, hT = self.layer.forward(np.zeros((T, 0, I), np.float32))
        self.assertEqual((y.shape, hT.shape), ((T, 0, H), (0, H)))
        y, hT = self.layer.forward(np.zeros((0, N, I), np.float32), self.h0)
        self.assertTrue(np.array_equal(hT, self.h0) and y.shape == (0, N, H))

    def test_arrays_of_any_package(self) -> None:
        wanted = self.layer.forward(self.x).y
        for given in (Interface(self.x), Exported(self.x, False), Exported(self.x, True)):
            self.assertTrue(np.array_equal(self.layer.forward(given).y, wanted))
        strided = Exported(np.ascontiguousarray(self.x.transpose(1, 0, 2)).transpose(1, 0, 2), False)
        self.assertTrue(np.array_equal(self.layer.forward(strided).y, wanted))
        out = np.zeros_like(wanted)
        self.layer.forward(self.x, y=Exported(out, False))
        self.assertTrue(np.array_equal(out, wanted))
        out.flags.writeable = False
        with self.assertRaises(libgru.BadArgument):    # numpy itself, or the flag of the new version
            self.layer.forward(self.x, y=Exported(out, True))
        layer = libgru.Layer(*(Exported(array, False) for array in self.weights))
        self.assertTrue(np.array_equal(layer.forward(self.x).y, wanted))

    def test_what_was_given_may_die(self) -> None:
        weights = tuple(array.copy() for array in self.weights)
        layer = libgru.Layer(*weights)
        for array in weights:
            array[...] = 0
        del weights
        x = self.x.copy()
        run, dy = layer.forward_training(x), np.ones((T, N, H), np.float32)
        wanted = run.backward(dy).dx
        del x, layer
        gc.collect()
        junk = [np.full((T, N, I), 7, np.float32) for _ in range(50)]
        self.assertTrue(np.array_equal(run.backward(dy).dx, wanted), len(junk))
        stream = libgru.Stream(libgru.Layer(*self.weights))
        gc.collect()
        self.assertTrue(np.array_equal(stream.step(self.x[0, 0]), self.layer.forward(self.x).y[0, 0]))

    def test_update(self) -> None:
        other = Draw(9).weights(I, H)
        layer = libgru.Layer(*self.weights)
        layer.update(*other)
        self.assertTrue(np.array_equal(layer.forward(self.x).y, libgru.Layer(*other).forward(self.x).y))
        self.refused("R has the shape", layer.update, other[0], other[1][:, :4])
        stack = libgru.Stack([libgru.StackLayer(libgru.Weights(*self.weights))])
        stack.update(0, libgru.Weights(*other))
        self.assertTrue(np.array_equal(stack.forward(self.x).y, layer.forward(self.x).y))
        self.refused("k is 1", stack.update, 1, libgru.Weights(*other))

    def test_int8_and_16_bits(self) -> None:
        W, R = (np.round(array * 127).astype(np.int8) for array in self.weights[:2])
        scale = np.full(3 * H, 1 / 127, np.float32)
        coarse = libgru.Layer(W, R, *self.weights[2:], W_scale=scale, R_scale=scale)
        same = libgru.Layer(W * scale[:1], R * scale[:1], *self.weights[2:])
        self.assertTrue(np.array_equal(coarse.forward(self.x).y, same.forward(self.x).y))
        eight = libgru.Layer(W, R, *self.weights[2:], W_scale=scale, R_scale=scale, weight_type="int8")
        y = eight.forward(self.x).y
        self.assertLess(np.abs(y - coarse.forward(self.x).y).max(), 1e-3)    # x and h have 15 bits there
        steps = libgru.Stream(eight)
        self.assertTrue(np.array_equal(np.stack([steps.step(row[0]) for row in self.x]), y[:, 0]))
        half = libgru.Layer(*self.weights, io_type="f16", weight_type="f16")
        y, hT = half.forward(self.x.astype(np.float16))
        self.assertEqual((y.dtype, hT.dtype), (np.float16, np.float32))
        self.assertLess(np.abs(y.astype(np.float32) - self.layer.forward(self.x).y).max(), 5e-3)

    def test_streams(self) -> None:
        stream = libgru.Stream(self.layer)
        self.refused("x has the shape [3], expected [4]", stream.step, self.x[0, 0, :3])
        self.refused("x is f64", stream.step, self.x[0, 0].astype(np.float64))
        self.refused("x has the shape [2][4], expected [1][4]", stream.step, self.x[0, :2])
        self.refused("rows is 0", libgru.Stream, self.layer, 0)
        self.refused("reverse", libgru.Stream, libgru.Layer(*self.weights, direction="reverse"), error=libgru.Unsupported)
        self.refused("row is 1", stream.reset, 1)
        self.refused("states[0] has the shape", setattr, stream, "states", [self.x[0]])
        first = stream.step(self.x[0, 0])
        stream.reset()
        self.assertTrue(np.array_equal(stream.step(Interface(self.x[0, 0])), first))
        self.assertTrue(np.array_equal(stream.states[0][0], first))

    def test_stacks(self) -> None:
        draw = Draw(2)
        one, two = libgru.Weights(*self.weights), libgru.Weights(*draw.weights(2 * H, H))
        stack = libgru.Stack([libgru.StackLayer(one, one), libgru.StackLayer(two, two, merge="separate")], dropout=0.5)
        out = stack.forward(self.x)
        self.assertEqual((out.y.shape, out.y_reverse.shape, len(out.hT)), ((T, N, H), (T, N, H), 4))
        self.refused("h0 is a ndarray, expected a list of 4 arrays", stack.forward, self.x, self.h0)
        self.refused("h0 is a ndarray, expected a list of 4 arrays", stack.forward, self.x, np.zeros(()))
        self.refused("h0 has 2 arrays, expected 4", stack.forward, self.x, [self.h0, self.h0])
        self.refused("layers[1].config.inputs is 4, expected the outputs", libgru.Stack, [libgru.StackLayer(one), libgru.StackLayer(one)])
        first, again = (stack.forward_training(self.x, seed=3, offset=N) for _ in range(2))
        self.assertTrue(np.array_equal(first.y, again.y))
        self.assertFalse(np.array_equal(first.y, out.y))

    def test_threads_share_a_layer(self) -> None:
        wanted, wrong = self.layer.forward(self.x).y, []

        def work() -> None:
            for _ in range(200):
                if not np.array_equal(self.layer.forward(self.x).y, wanted):
                    wrong.append(1)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_a_fork_after_a_run(self) -> None:
        layer = libgru.Layer(*self.weights, context=libgru.Context(threads=2))
        wanted = layer.forward(self.x).y
        child_id = os.fork()
        if child_id == 0:
            os._exit(0 if np.array_equal(layer.forward(self.x).y, wanted) else 1)
        self.assertEqual(os.waitpid(child_id, 0)[1], 0)


class Files(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "model.safetensors"
        self.names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self.weights = dict(zip(self.names, Draw(1).weights(I, H)))

    def write(self, tensors: dict[str, Any], **metadata: str) -> None:
        safetensors.write(self.path, {name: Tensor.of(array) for name, array in tensors.items()},
                          {key.replace("__", "."): text for key, text in metadata.items()})

    def test_files_say_what_a_stack_is(self) -> None:
        """Each word of the metadata gives the stack that is made by hand with that word."""
        x, h0 = Draw(5)(T, N, I), [Draw(3)(H), Draw(4)(H)]
        one, two, three = (libgru.Weights(*Draw(seed).weights(width, H)) for seed, width in ((1, I), (7, I), (8, 2 * H)))
        reverse = {name + "_reverse": array for name, array in zip(self.names, Draw(7).weights(I, H))}
        upper = {name.replace("l0", "l1"): array for name, array in zip(self.names, Draw(8).weights(2 * H, H))}
        before, clipped = libgru.Variant(reset="before"), libgru.Variant(reset="before", clip=0.5)
        leaky = libgru.Variant(candidate="leaky_relu", candidate_alpha=0.25)
        for tensors, metadata, layers in (
                (self.weights, {}, [libgru.StackLayer(one)]),
                ({**self.weights, **reverse, **upper}, {"gru__l1__clip": "0.5", "gru__reset": "before"},
                 [libgru.StackLayer(one, two, before), libgru.StackLayer(three, None, clipped)]),
                (reverse, {"gru__update": "write"}, [libgru.StackLayer(two, None, libgru.Variant(update="write"), "reverse")]),
                ({**self.weights, **reverse, "h0_l0": h0[0], "h0_l0_reverse": h0[1]},
                 {"gru__initial_state": "learned", "gru__merge": "average", "gru__candidate": "leaky_relu",
                  "gru__candidate_alpha": "0.25"}, [libgru.StackLayer(one, two, leaky, "forward", "average", *h0)]),
                ({**self.weights, **reverse}, {"gru__merge": "separate", "gru__dropout": "0.25"},
                 [libgru.StackLayer(one, two, merge="separate")])):
            self.write(tensors, **metadata)
            loaded, made = libgru.Stack.load(self.path), libgru.Stack(layers)
            found, wanted = loaded.forward(x), made.forward(x)
            self.assertTrue(np.array_equal(found.y, wanted.y), str(metadata))
            self.assertEqual((loaded.inputs, loaded.outputs, loaded.hidden), (made.inputs, made.outputs, made.hidden))
            self.assertEqual(found.y_reverse is None, wanted.y_reverse is None)
        self.assertTrue(np.array_equal(found.y_reverse, wanted.y_reverse))
        self.assertEqual(loaded.dropout, 0.25)
        wide = libgru.Stack.load(self.path, io_type="f64")
        self.assertEqual(wide.forward(x.astype(np.float64)).y.dtype, np.float64)

    def refused(self, words: str, *given: Any, error: type[Exception] = libgru.BadData) -> None:
        with self.assertRaises(error) as caught:
            libgru.Stack.load(self.path, *given)
        self.assertIn(words, str(caught.exception))

    def test_wrong_files(self) -> None:
        self.refused("No such file", error=libgru.FileError)
        self.path.write_bytes(b"PK\x03\x04" + bytes(100))
        self.refused("the header's length is 67324752, but only 96 bytes follow")
        self.write({"a": np.zeros(3, np.float32)})
        self.refused("has no GRU")
        self.write({**self.weights, **{"enc." + name: array for name, array in self.weights.items()}})
        self.refused("has 2 GRUs; expected one of \"enc.\", \"\"", error=libgru.BadArgument)
        self.refused("has no GRU with the prefix \"dec.\"; it has \"enc.\", \"\"", "dec.")
        self.assertEqual(libgru.Stack.load(self.path, "enc.").inputs, I)
        self.write({name: array for name, array in self.weights.items() if name != "bias_hh_l0"})
        self.refused("has only one bias of layer 0")
        self.write({name: array for name, array in self.weights.items() if name != "weight_ih_l0"})
        self.refused('has no tensor "weight_ih_l0"')
        self.write({**self.weights, "weight_hh_l2": self.weights["weight_hh_l0"]})
        self.refused('has "weight_hh_l2", but no layer 1')
        self.write(self.weights, gru__initial_state="learned")
        self.refused('has no tensor "h0_l0"')
        self.write(self.weights, gru__rezet="after")
        self.refused("gru.rezet")
        self.write(self.weights, gru__l3__reset="after")
        self.refused("gru.l3.reset")
        self.write(self.weights, gru__reset="befor")
        self.refused('is "befor", expected after')


class Libraries(unittest.TestCase):
    CODE = "import libgru\ntry: libgru.Context()\nexcept libgru.NotBuilt as error: print(error)"

    def test_no_library(self) -> None:
        ran = child(self.CODE, LIBGRU_LIBRARY="/nowhere/libgru.so")
        self.assertIn("/nowhere/libgru.so does not exist", ran.stdout, ran.stderr)

    def test_a_library_of_another_version_and_no_library_at_all(self) -> None:
        other = compiled("int gru_version(void) { return 907; }", "-shared", "-fPIC")
        self.assertIn("is version 907, and this package needs", child(self.CODE, LIBGRU_LIBRARY=str(other)).stdout)
        other = compiled("int nothing;", "-shared", "-fPIC")
        self.assertIn("is version None", child(self.CODE, LIBGRU_LIBRARY=str(other)).stdout)
        path = GOLDEN / "README.md"
        self.assertIn("cannot be loaded", child(self.CODE, LIBGRU_LIBRARY=str(path)).stdout)

    def test_no_onnx_jax_or_keras_and_old_ones(self) -> None:
        for name, old, needed in (("onnx", "", ""), ("jax", "0.4.38", "0.5 or later"), ("keras", "2.15.0", "3")):
            code = "import sys, types\n{}\ntry: import libgru.%s\nexcept ImportError as error: print(type(error).__name__, error)" % name
            ran = child(code.format(f"sys.modules['{name}'] = None"))
            self.assertIn(f"NotBuilt libgru.{name} needs the package {name}", ran.stdout, ran.stderr)
            if old:
                ran = child(code.format(f"m = sys.modules['{name}'] = types.ModuleType('{name}'); m.__version__ = '{old}'"))
                self.assertIn(f"NotBuilt libgru.{name} needs {name} {needed}, and this is {old}", ran.stdout, ran.stderr)

    def test_no_torch_and_an_old_torch(self) -> None:
        code = "import sys, types\n{}\ntry: import libgru.torch\nexcept ImportError as error: print(type(error).__name__, error)"
        ran = child(code.format("sys.modules['torch'] = None"))
        self.assertIn("NotBuilt libgru.torch needs the package torch", ran.stdout, ran.stderr)
        ran = child(code.format("torch = sys.modules['torch'] = types.ModuleType('torch'); torch.__version__ = '2.3.1+cpu'"))
        self.assertIn("NotBuilt libgru.torch needs torch 2.4 or later, and this is 2.3.1+cpu", ran.stdout, ran.stderr)


if __name__ == "__main__":
    unittest.main()
