"""examples/frameworks/train_g2p_ddp.py: two processes train a small network, and the program g2p says each word as PyTorch does."""
from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import libgru

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "examples" / "frameworks" / "train_g2p_ddp.py"
DICTIONARY = "/usr/share/festival/dicts/cmu/cmudict-0.4.out"
E, H, WORDS = 16, 32, 300
TIE = 1e-4    # two programs in float32 may part where two scores lie closer


def example() -> Any:
    spec = importlib.util.spec_from_file_location("train_g2p_ddp", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*command: str, **options: Any) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def build_g2p(folder: str) -> str:
    """The program over the library and the headers of the package."""
    package, program = Path(str(libgru.__file__)).parent, f"{folder}/g2p"
    sources = [str(ROOT / "apps" / "g2p" / f"{name}.c") for name in ("g2p", "g2p_model", "model_run", "model_search", "shared_buffer", "text")]
    run("cc", "-std=gnu11", "-O1", f"-I{package / 'include'}", '-DG2P_MODEL="none"', "-o", program, *sources, str(package / "libgru.so"),
        f"-Wl,-rpath,{package}", "-lm", "-pthread")
    return program


class G2p(unittest.TestCase):
    def setUp(self) -> None:
        torch.set_num_threads(1)
        self.example = example()
        self.entries = self.example.read_dictionary(DICTIONARY)
        self.held_out = sorted({word for word, _ in self.entries if self.example.part(word) < 5})

    def check_words(self, network: Any, found: dict[str, list[str]]) -> None:
        """Equal, but where PyTorch's own two best scores are as good as equal."""
        ties, said = 0, network.say(list(found))
        for (word, sounds), wanted in zip(found.items(), said, strict=True):
            if sounds == wanted:
                continue
            same = next(k for k, (a, b) in enumerate(zip([*sounds, ""], [*wanted, ""])) if a != b)
            heard = torch.tensor([[self.example.START, *(self.example.PHONEME_OF[sound] for sound in wanted[:same])]]).T
            with torch.no_grad():
                best = network(*self.example.letters_of([word]), heard)[-1, 0].topk(2).values
            self.assertLess(float(best[0] - best[1]), TIE, f"{word}: {sounds}, expected {wanted}")
            ties += 1
        self.assertLess(ties, 3)
        self.assertGreater(len({tuple(sounds) for sounds in said}), WORDS // 4, "the network says the same of all words")

    def test_what_two_processes_trained_speaks(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            model = f"{folder}/own.safetensors"
            text = run(sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2",
                       str(SCRIPT), "--words", "4000", "--epochs", "3", "--batch", "32", "--embedding", str(E), "--hidden", str(H),
                       "--rate", "0.01", "--dropout", "0.1", "--save", model,
                       env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"})
            losses = [float(loss) for loss in re.findall(r"loss ([0-9.]+)", text)]
            self.assertEqual(len(losses), 3, text)
            self.assertLess(losses[-1], 0.8 * losses[0])
            spoken = run(build_g2p(folder), "--model", model, *self.held_out[:WORDS])
            network = self.example.Network(E, H, 0.1).eval()    # torch.nn.GRU, in double precision
            network.load_state_dict(load_file(model))
            found = {line.split()[0]: line.split()[1:] for line in spoken.splitlines()}
            self.assertEqual(list(found), self.held_out[:WORDS])
            self.check_words(network.double(), found)

    def test_the_split_is_that_of_the_trainer_in_c(self) -> None:
        """The recipe in the model of apps/g2p has the number of entries, its report that of the held-out words."""
        self.assertEqual(len(self.entries), 105894)
        self.assertEqual(len(self.held_out), 5174)


if __name__ == "__main__":
    unittest.main()
