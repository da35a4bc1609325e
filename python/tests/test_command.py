"""The command itself: options, statuses, reports, the entry points."""
from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import unittest

import numpy as np

from test_names import draw, gru
from tools import HERE, SAMPLES, Case

from libgru.convert.cli import main


class Command(Case):
    def test_module(self) -> None:
        """python -m libgru.convert, in a process of its own."""
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        words = [sys.executable, "-m", "libgru.convert"]
        ran = subprocess.run([*words, SAMPLES / "cell.npz", self.output], env=environment, capture_output=True)
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, b"", b""))
        self.assertEqual(subprocess.run([*words, "--help"], env=environment, capture_output=True).returncode, 0)

    def test_without_numpy(self) -> None:
        """One sentence, where numpy cannot be imported."""
        code = ("import sys; sys.modules['numpy'] = None; sys.path.insert(0, sys.argv[1]); "
                "from libgru.convert.cli import main; sys.exit(main(['a.npz', 'b']))")
        ran = subprocess.run([sys.executable, "-c", code, str(HERE.parent)], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("the package numpy is missing", ran.stderr)
        self.assertNotIn("Traceback", ran.stderr)

    def test_reports(self) -> None:
        status, text, _ = self.run_command(SAMPLES / "cell.npz", "--report")
        self.assertEqual(status, 0)
        self.assertIn("enc.weight_ih_l0 F32[6][3] <- enc_w_ih", text)
        self.assertIn("layer 0: 3 -> 2", text)
        _, text, _ = self.run_command(SAMPLES / "cell.npz", "--report", "json", "--drop", "tab*")
        told = json.loads(text)
        self.assertEqual(told["tensors"]["enc.weight_ih_l0"], {"type": "F32", "shape": [6, 3], "from": ["enc_w_ih"]})
        self.assertEqual((told["unwanted"], told["left_out"]), (["table"], {}))
        self.assertEqual(told["grus"][0]["prefix"], "enc.")

    def test_nobody_reads_the_report(self) -> None:
        """As with "| head": the file is written, and nothing is said."""
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        words = [sys.executable, "-m", "libgru.convert", SAMPLES / "cell.npz", self.output, "--report"]
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
            assert ran.stdout and ran.stderr
            ran.stdout.close()
            self.assertEqual((ran.stderr.read(), ran.wait()), (b"", 130))
        self.assertTrue(self.output.exists())

    def test_names_cannot_write_to_the_terminal(self) -> None:
        path = self.folder / "x.npz"
        np.savez(path, **gru(), **{"a\x1b[2J\n": np.array(["b"]), "c\x1b[2J\n": draw(2)})
        _, text, errors = self.run_command(path, "--report")
        self.assertNotIn("\x1b", text + errors)
        self.assertIn("left out: a\\x1b[2J\\n: the file has no type", errors)

    def test_left_out_is_a_fault_unless_it_was_asked_for(self) -> None:
        path = self.folder / "x.npz"
        np.savez(path, **gru(), words=np.array(["a", "b"]), table=draw(2))
        status, _, errors = self.run_command(path)
        self.assertEqual(status, 1)
        self.assertIn("left out: words", errors)
        self.assertTrue(self.output.exists())
        self.assertEqual(self.run_command(path, "--drop", "words")[0], 0)
        self.assertEqual(self.run_command(path, "--gru-only")[0], 0)
        self.refused(path, "no tensor beside the GRUs", "--drop", "wrods")

    def test_wrong_arguments(self) -> None:
        for words in ([], ["a"], ["a", "b", "--map", "x"], ["a", "b", "--limit", "much"], ["a", "b", "--report", "xml"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as stopped:
                main(words)
            self.assertEqual(stopped.exception.code, 2)

    def test_no_place_for_the_output(self) -> None:
        self.output = self.folder / "no" / "such" / "folder.safetensors"
        status, _, errors = self.run_command(SAMPLES / "cell.npz")
        self.assertEqual(status, 1)
        self.assertIn("No such file or directory", errors)

    def test_verify_says_what_it_lacks(self) -> None:
        code = ("import sys; sys.modules['torch'] = None; sys.path.insert(0, sys.argv[1]); "
                "from libgru.convert.cli import main; sys.exit(main([*sys.argv[2:], '--verify']))")
        ran = subprocess.run([sys.executable, "-c", code, str(HERE.parent), SAMPLES / "cell.npz", self.output],
                             capture_output=True, text=True)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("it needs the package torch", ran.stderr)


if __name__ == "__main__":
    unittest.main()
