"""Hostile input files, and failures of the system while a file is written."""
from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import pickle
import struct
import tracemalloc
import unittest
import warnings
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from extra import Fake, write_pt
from test_names import draw, gru
from tools import SAMPLES, Case, has, has_all

ENDINGS = (".npz", ".pt", ".pth", ".tar", ".safetensors", ".h5", ".keras", ".onnx")


class _Attack:
    """Unpickled, it would make a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("pwned",)


class Hostile(Case):
    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def test_garbage(self) -> None:
        for ending in ENDINGS:
            for content in (b"", b"garbage", b"PK\3\4" + bytes(50), b"\x89HDF\r\n\x1a\n" + bytes(100), bytes(1000)):
                with self.subTest(ending=ending, content=content[:8]):
                    self.refused(self.write(f"x{ending}", content), "x" + ending)
        self.refused(self.write("x.txt", b""), "ends with none of")
        self.refused(self.folder / "nothing.npz", "No such file")

    def test_cut_and_changed_files(self) -> None:
        """Whatever becomes of a file, there is a sentence or a result."""
        random = np.random.default_rng(1)
        for name in ("state.safetensors", "checkpoint.tar", "cell.npz", "keras2_cells.keras", "keras3_cells.h5",
                     "stacked_dynamo.onnx"):
            if not has_all(Path(name).suffix):
                continue
            content = (SAMPLES / name).read_bytes()
            for _ in range(15):
                changed = bytearray(content[:random.integers(len(content))] if random.random() < 0.3 else content)
                for at in random.integers(0, max(1, len(changed)), 3):
                    changed[at:at + 1] = bytes([random.integers(256)])
                status, _, _ = self.run_command(self.write(name, bytes(changed)))
                self.assertIn(status, (0, 1))

    def test_pickles_run_nothing(self) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"a": _Attack()}, 2))
        self.refused(self.write("x.pt", content.getvalue()), "has no GRU")
        self.refused(self.write("y.pt", pickle.dumps(_Attack(), 2)), "y.pt")
        status, _, errors = self.run_command(self.write("x.npz", _npz_of_objects()))
        self.assertEqual(status, 1)
        self.assertIn("it holds Python objects", errors)
        self.assertFalse(Path("pwned").exists())

    def test_pickle_bombs(self) -> None:
        huge = b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"."    # a byte array of a terabyte
        memo = b"\x80\x02]r\xff\xff\xff\x7f."                         # a memo of 2^31 places
        laughs = b"\x80\x02]q\x00" + b"".join(b"](" + b"h" + bytes([k]) + b"h" + bytes([k]) + b"eq" + bytes([k + 1])
                                              for k in range(60)) + b"."
        for number, content in enumerate((huge, memo, laughs)):
            data = io.BytesIO()
            with zipfile.ZipFile(data, "w") as archive:
                archive.writestr("a/data.pkl", content)
            with self.subTest(number):
                refused = lambda: self.refused(self.write("x.pt", data.getvalue()), "x.pt")    # noqa: E731
                refused() if content is laughs else self.within_memory(refused)    # tracing its time would take a minute

    def within_memory(self, run: Any, megabytes: int = 100) -> None:
        tracemalloc.start()
        try:
            run()
            self.assertLess(tracemalloc.get_traced_memory()[1], megabytes << 20)
        finally:
            tracemalloc.stop()

    def test_expanded_views(self) -> None:
        path = self.folder / "x.pt"
        write_pt(path, {**{name: Fake(array) for name, array in gru().items()},
                        "big": Fake(draw(1), shape=(1 << 20, 1 << 14), strides=(0, 0))})
        self.within_memory(lambda: self.refused(path, "--limit"))

    def test_zip_bombs(self) -> None:
        path = self.folder / "x.npz"
        np.savez_compressed(path, **gru(), zeros=np.zeros(70 << 20, "u1"))
        self.within_memory(lambda: self.refused(path, "--limit"))
        self.converted(path, "--limit", "1G")

    def test_limit_is_stated_in_bytes(self) -> None:
        path = self.folder / "x.npz"
        np.savez(path, **gru())
        self.refused(path, "10 bytes in all", "--limit", "10")
        self.converted(path, "--limit", "64K")

    def test_names(self) -> None:
        for name in ("__metadata__", "a\0b"):
            path = self.folder / "x.pt"
            write_pt(path, {name: Fake(draw(2)), **{part: Fake(array) for part, array in gru().items()}})
            status, _, errors = self.run_command(path)
            self.assertEqual(status, 1)
            self.assertIn("rename it with --map", errors)
            self.assertFalse(self.output.exists())

    def test_safetensors(self) -> None:
        def file(header: Any, data: bytes = bytes(8), raw: bytes | None = None) -> Path:
            text = raw if raw is not None else json.dumps(header).encode()
            return self.write("x.safetensors", struct.pack("<Q", len(text)) + text + data)
        one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        for words, path in (("does not make", lambda: file({"a": {**one, "shape": [3]}})),
                            ("bytes 0 to 16 of 8", lambda: file({"a": {**one, "data_offsets": [0, 16]}})),
                            ("not described", lambda: file({"a": {**one, "shape": [-2]}})),
                            ("not described", lambda: file({"a": 3})),
                            ("metadata of strings", lambda: file({"__metadata__": {"a": 1}})),
                            ("twice", lambda: file(None, raw=b'{"a":{},"a":{}}')),
                            ("no length", lambda: self.write("x.safetensors", b"\xff" * 20))):
            self.refused(path(), words)

    def test_unknown_types_are_named(self) -> None:
        """Beside a GRU, in an input safetensors file."""
        content = (SAMPLES / "state.safetensors").read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + length])
        end = len(content) - 8 - length
        header["odd"] = {"dtype": "F4", "shape": [4], "data_offsets": [end, end + 2]}
        header["deep"] = {"dtype": "U8", "shape": [1] * 9, "data_offsets": [end + 2, end + 3]}
        text = json.dumps(header).encode()
        path = self.write("x.safetensors", struct.pack("<Q", len(text)) + text + content[8 + length:] + bytes(3))
        status, _, errors = self.run_command(path)
        self.assertEqual(status, 1)
        self.assertIn("left out: odd: the library reads no tensor of type F4", errors)
        self.assertIn("left out: deep: it has 9 dimensions", errors)
        self.converted(path, "--gru-only")
        self.converted(path, "--drop", "odd", "--drop", "deep")

    def test_a_full_disk_leaves_the_old_file(self) -> None:
        path = SAMPLES / "cell.npz"
        self.converted(path)
        before = self.output.read_bytes()
        with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            status, _, errors = self.run_command(path)
        self.assertEqual((status, self.output.read_bytes()), (1, before))
        self.assertIn("No space left on device", errors)
        self.assertEqual(os.listdir(self.folder), [self.output.name])

    def test_what_dead_writers_left_is_removed(self) -> None:
        """And nothing else of such a name: a living writer's file, a link, a folder."""
        path = self.folder / "model.npz"
        np.savez(path, **gru())
        self.write(".gru-convert-dead", b"half")
        living = self.write(".gru-convert-living", b"half")
        os.symlink(path, self.folder / ".gru-convert-link")
        (self.folder / ".gru-convert-folder").mkdir()
        with living.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.converted(path)
            left = {".gru-convert-living", ".gru-convert-link", ".gru-convert-folder"}
            self.assertEqual({name for name in os.listdir(self.folder) if name.startswith(".gru")}, left)
        self.converted(path)
        self.assertFalse(living.exists())
        np.load(path).close()

    def test_never_over_the_input(self) -> None:
        self.output = self.write("cell.npz", (SAMPLES / "cell.npz").read_bytes())
        link, hard = self.folder / "link.npz", self.folder / "hard.npz"
        link.symlink_to(self.output)
        os.link(self.output, hard)
        for path in (self.output, link, hard):
            status, _, errors = self.run_command(path)
            self.assertEqual(status, 1)
            self.assertIn("is the input", errors)
        self.assertEqual(self.output.read_bytes(), (SAMPLES / "cell.npz").read_bytes())

    def test_only_files_are_replaced(self) -> None:
        """A pipe stands for a device here, such as /dev/null."""
        os.mkfifo(self.output)
        status, _, errors = self.run_command(SAMPLES / "cell.npz")
        self.assertEqual(status, 1)
        self.assertIn("is no file", errors)
        self.assertTrue(self.output.is_fifo())

    def test_a_failure_names_the_right_file(self) -> None:
        self.converted(SAMPLES / "cell.npz")
        status, _, errors = self.run_command(self.folder / "nothing.npz")
        self.assertEqual((status, errors.count("nothing.npz: No such file")), (1, 1))
        self.output = self.folder / "nowhere" / "output.safetensors"
        status, _, errors = self.run_command(SAMPLES / "cell.npz")
        self.assertEqual((status, errors.count("output.safetensors: No such file")), (1, 1))

    def test_shared_bytes_are_counted(self) -> None:
        """A megabyte that 100 tensors share, by their places or by names in the metadata."""
        place = {"dtype": "U8", "shape": [1 << 20], "data_offsets": [0, 1 << 20]}
        for header in ({f"x{k}": place for k in range(100)},
                       {"x": place, "__metadata__": {f"a{k}": "x" for k in range(100)}}):
            text = json.dumps(header).encode()
            path = self.write("x.safetensors", struct.pack("<Q", len(text)) + text + bytes(1 << 20))
            self.refused(path, "--limit")

    def test_two_tensors_of_one_name(self) -> None:
        parts = {name: Fake(array) for name, array in gru().items()}
        path = self.folder / "x.pt"
        for more in ({1: Fake(draw(2)), "1": Fake(draw(2))}, {"a": {"b": Fake(draw(2))}, "a.b": Fake(draw(2))}):
            write_pt(path, {**parts, **more})
            self.refused(path, "two tensors called")

    def test_two_members_of_one_name(self) -> None:
        """A reader would take one or the other."""
        path = self.folder / "x.pt"
        write_pt(path, {name: Fake(array) for name, array in gru().items()})
        samples = [path, SAMPLES / "cell.npz", *([SAMPLES / "keras3_two_layers.keras"] if has("h5py") else [])]
        for sample in samples:
            with self.subTest(sample.suffix), warnings.catch_warnings():
                warnings.simplefilter("ignore")    # zipfile's, of a name twice
                path = self.write(f"twice{sample.suffix}", sample.read_bytes())
                with zipfile.ZipFile(path, "a") as archive:
                    name = archive.namelist()[-1]
                    archive.writestr(name, archive.read(name))
                self.refused(path, f"2 members called {name}")

    def test_links_are_followed(self) -> None:
        target = self.folder / "target.safetensors"
        self.output.symlink_to(target)
        self.converted(SAMPLES / "cell.npz")
        self.assertTrue(self.output.is_symlink() and target.exists())


def _npz_of_objects() -> bytes:
    content = io.BytesIO()
    np.savez(content, a=np.array([_Attack()], dtype=object), **gru())
    return content.getvalue()


@unittest.skipUnless(has("h5py"), "h5py is missing")
class HostileHdf5(Case):
    """The sample keras2_two_layers.h5 with one dataset replaced."""

    def changed(self, make: Any) -> Path:
        import h5py
        path = self.folder / "x.h5"
        path.write_bytes((SAMPLES / "keras2_two_layers.h5").read_bytes())
        with h5py.File(path, "a") as file:
            make(file, h5py)
        return path

    def test_data_from_elsewhere(self) -> None:
        secret = self.folder / "secret"
        secret.write_bytes(bytes(24))
        self.refused(self.changed(lambda file, _: file.create_dataset("x", (6,), "f4", external=[(str(secret), 0, 24)])),
                     "lies in another file")

        def virtual(file: Any, h5py: Any) -> None:
            layout = h5py.VirtualLayout((6,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "d", (6,))
            file.create_virtual_dataset("x", layout)
        self.refused(self.changed(virtual), "other files' data")
        self.refused(self.changed(lambda file, h5py: file.__setitem__("x", h5py.ExternalLink(str(secret), "d"))),
                     "links are not followed")
        self.refused(self.changed(lambda file, h5py: file.__setitem__("x", h5py.SoftLink("/model_weights"))),
                     "links are not followed")

    def test_bombs_and_cycles(self) -> None:
        self.refused(self.changed(lambda file, _: file.create_dataset("x", (1 << 32,), "f4", chunks=(1 << 20,),
                                                                      compression="gzip")), "--limit")
        self.refused(self.changed(lambda file, _: file.__setitem__("model_weights/x", file["model_weights"])),
                     "contains itself")

        def ways(file: Any, _: Any) -> None:
            """2^40 of them to the last group."""
            group = file.create_group("ways")
            for _ in range(40):
                inner = group.create_group("a")
                group["b"] = inner
                group = inner
        self.refused(self.changed(ways), "once more")
        self.refused(self.changed(lambda file, _: file.create_dataset("x", (8,), "f4", chunks=(8,), compression="lzf")),
                     "filter 32000")

    def test_a_chunk_that_unpacks_to_more(self) -> None:
        import zlib

        def make(file: Any, _: Any) -> None:
            data = file.create_dataset("x", (8,), "f4", chunks=(8,), compression="gzip")
            data.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 20)))
        self.refused(self.changed(make), "unpacks to 32")

    def test_packed_data_is_read(self) -> None:
        source = self.converted(self.changed(lambda file, _: file.create_dataset(
            "x", data=np.arange(1000.0), chunks=(100,), compression="gzip", shuffle=True, fletcher32=True)))
        np.testing.assert_array_equal(source.tensors["x"].bits, np.arange(1000.0))

    def test_what_the_file_cannot_hold_is_named(self) -> None:
        def make(file: Any, h5py: Any) -> None:
            file.create_dataset("text", data="words")
            file.create_dataset("tiny", data=np.zeros(3, "V1"))
            file.create_dataset("record", data=np.zeros(3, [("a", "f4")]))
        status, _, errors = self.run_command(self.changed(make))
        self.assertEqual(status, 1)
        for name in ("text", "tiny", "record"):
            self.assertIn(f"left out: {name}:", errors)


if __name__ == "__main__":
    unittest.main()
