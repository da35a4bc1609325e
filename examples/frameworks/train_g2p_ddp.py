#!/usr/bin/env python3
"""Trains the network of apps/g2p with PyTorch in several processes, and saves it as safetensors, which the program g2p loads.

    torchrun --standalone --nproc-per-node 2 examples/frameworks/train_g2p_ddp.py --save build/own.safetensors
    build/apps/g2p/g2p --model build/own.safetensors "rhythm and onomatopoeia"

Each process takes its share of every batch, and DistributedDataParallel sums their gradients over gloo.

On many machines run it on each of them, with --nnodes 4 --rdzv-backend c10d --rdzv-endpoint HOST:29400 instead of --standalone.
GLOO_SOCKET_IFNAME names the network between them. The script itself stays as it is; the first process of all saves the model.

With NVIDIA's GPUs and NCCL three things change. init_process_group gets "nccl", after torch.cuda.set_device(LOCAL_RANK), which
torchrun sets in the environment; the network and each batch are moved to that device; NCCL_SOCKET_IFNAME names the network.
There PyTorch's own GRU runs, because libgru.torch computes on CPUs.

Needs libgru and torch (pip install './python[torch]'), safetensors, and the dictionary of Debian's festlex-cmu.
"""
import argparse
import random
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy, dropout, embedding, linear
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

import libgru.torch

# The alphabets of apps/g2p/text.h. Letters: <pad> <unk> </s> a ... z.
GRAPHEMES, WORD_END, LETTER_A = 29, 2, 3
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split()
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split()
PHONEMES = ["<pad>", "<unk>", "<s>", "</s>", *sorted([vowel + stress for vowel in VOWELS for stress in "012"] + [*CONSONANTS, "UW"])]
PHONEME_OF = {name: number for number, name in enumerate(PHONEMES)}
PAD, START, END = 0, 2, 3
MOST_PHONEMES = 20
Entry = tuple[str, tuple[int, ...]]    # a word in small letters, and its phonemes


# ---- the dictionary ----------------------------------------------------------------------------------------------------------

def phonemes_of(syllables: str) -> Iterator[int]:
    """Of Festival's ((ph ph) stress) ((ph) stress)."""
    for names, stress in re.findall(r"\(\(([a-z ]+)\) ([012])\)", syllables):
        for name in names.split():
            name = "AH" if name == "ax" else name.upper()
            yield PHONEME_OF.get(name + stress) or PHONEME_OF[name]


def read_entry(line: str) -> Entry:
    found = re.fullmatch(r'\("([A-Za-z]+)" \w+ \((.*)\)\)', line)
    if not found:
        raise ValueError(f"expected an entry of a lexicon of Festival, found {line!r}")
    return found[1].lower(), tuple(phonemes_of(found[2]))


def read_dictionary(path: str) -> list[Entry]:
    """Every pronunciation of every word, sorted."""
    return sorted(set(map(read_entry, Path(path).read_text().splitlines()[1:])))


def mix(value: int) -> int:
    """SplitMix64's finalizer."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


def part(word: str) -> int:
    """0 to 99, drawn as apps/g2p/train/dictionary.c draws it: words below 7 are not trained on, so that g2p_evaluate is fair."""
    step = 0x9E3779B97F4A7C15
    return reduce(lambda key, letter: mix(mix((key + step) % 2**64) ^ (letter * step + 1) % 2**64), word.encode(), 2026) % 100


def batches(entries: list[Entry], size: int, seed: int) -> list[list[Entry]]:
    """Of words of about one length, in random order. The rest of the words is left out."""
    order = random.Random(seed)
    mixed = order.sample(entries, len(entries))
    windows = [sorted(mixed[first:first + 16 * size], key=lambda entry: len(entry[0])) for first in range(0, len(mixed), 16 * size)]
    made = [window[first:first + size] for window in windows for first in range(0, len(window), size)]
    return order.sample([batch for batch in made if len(batch) == size], len(mixed) // size)


# ---- the network -------------------------------------------------------------------------------------------------------------

def letters_of(words: list[str]) -> tuple[Tensor, Tensor]:
    """Numbers [T, N] of the letters and the end sign, and how many each word has [N]."""
    rows = [torch.tensor([ord(letter) - ord("a") + LETTER_A for letter in word] + [WORD_END]) for word in words]
    return pad_sequence(rows), torch.tensor([len(row) for row in rows])


class Network(torch.nn.Module):
    """apps/g2p/train/network.h, with the same names of tensors. E numbers for a letter or a sound, H units in each direction."""

    def __init__(self, E: int, H: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.encoder = torch.nn.GRU(E, H, bidirectional=True)
        self.decoder = torch.nn.GRU(E, 2 * H)
        self.enc_emb = torch.nn.Parameter(torch.randn(GRAPHEMES, E))
        self.dec_emb = torch.nn.Parameter(torch.randn(len(PHONEMES), E))
        self.fc_w = torch.nn.Parameter(torch.empty(len(PHONEMES), 2 * H).uniform_(-1, 1) / (2 * H) ** 0.5)
        self.fc_b = torch.nn.Parameter(torch.zeros(len(PHONEMES)))

    def drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

    def encode(self, letters: Tensor, lengths: Tensor) -> Tensor:
        """The last states of both directions, side by side: [1, N, 2H]."""
        read = pack_padded_sequence(self.drop(embedding(letters, self.enc_emb)), lengths, enforce_sorted=False)
        return torch.cat(list(self.encoder(read)[1]), 1)[None]

    def decode(self, heard: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [U, N, 74] of the phonemes that follow heard [U, N], and the last state."""
        y, state = self.decoder(self.drop(embedding(heard, self.dec_emb)), state)
        return linear(self.drop(y), self.fc_w, self.fc_b), state

    def forward(self, letters: Tensor, lengths: Tensor, heard: Tensor) -> Tensor:
        return self.decode(heard, self.encode(letters, lengths))[0]

    @torch.no_grad()
    def say(self, words: list[str]) -> list[list[str]]:
        """The phonemes of each word: always the likeliest next one."""
        state, heard, said = self.encode(*letters_of(words)), torch.full((1, len(words)), START), []
        for _ in range(MOST_PHONEMES):
            scores, state = self.decode(heard, state)
            heard = scores.argmax(2)
            said.append(heard)
        rows = [[*row, END] for row in torch.cat(said).T.tolist()]
        return [[PHONEMES[phoneme] for phoneme in row[:row.index(END)]] for row in rows]


# ---- training ----------------------------------------------------------------------------------------------------------------

def summed_loss(model: torch.nn.Module, batch: list[Entry]) -> tuple[Tensor, Tensor]:
    """The cross-entropy of all phonemes, end signs included, and how many they are."""
    heard = pad_sequence([torch.tensor([START, *phonemes]) for _, phonemes in batch], padding_value=END)
    wanted = pad_sequence([torch.tensor([*phonemes, END]) for _, phonemes in batch], padding_value=PAD)
    scores = model(*letters_of([word for word, _ in batch]), heard)
    return cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=PAD, reduction="sum"), (wanted != PAD).sum()


def train(model: torch.nn.Module, entries: list[Entry], options: argparse.Namespace) -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    steps = len(entries) // options.batch * options.epochs
    optimiser = torch.optim.Adam(model.parameters(), options.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min((step + 1) / 200, 1) * (1 - step / steps))
    for epoch in range(options.epochs):
        total = torch.zeros(2, dtype=torch.float64)
        for batch in batches(entries, options.batch, options.seed + epoch):
            loss, count = summed_loss(model, batch[rank::world])
            both = torch.stack([loss.detach().double(), count.double()])
            dist.all_reduce(both)
            optimiser.zero_grad()
            (loss * world / both[1]).backward()    # gradients are averaged: those of the mean over the whole batch
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += both.cpu()
        if rank == 0:
            print(f"epoch {epoch + 1} of {options.epochs}: loss {float(total[0] / total[1]):.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the network of apps/g2p in several processes; see the top of the file.")
    parser.add_argument("--dictionary", default="/usr/share/festival/dicts/cmu/cmudict-0.4.out")
    parser.add_argument("--save", default="own.safetensors", help="where the model goes")
    parser.add_argument("--words", type=int, default=0, help="train on so many entries; 0: all")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch", type=int, default=64, help="words in a step, of all processes")
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=256, help="units of the encoder in each direction; the decoder has twice as many")
    parser.add_argument("--rate", type=float, default=0.0015)
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    dist.init_process_group("gloo")
    torch.manual_seed(options.seed)    # the same first numbers everywhere
    network = libgru.torch.replace(Network(options.embedding, options.hidden, options.dropout))
    torch.manual_seed(options.seed + 1 + dist.get_rank())    # each process drops others
    entries = [entry for entry in read_dictionary(options.dictionary) if part(entry[0]) >= 7]
    if options.words:
        entries = random.Random(options.seed).sample(entries, min(options.words, len(entries)))
    if not dist.get_world_size() <= options.batch <= len(entries):
        parser.error(f"--batch is {options.batch}, expected {dist.get_world_size()} processes to {len(entries)} words")
    train(DistributedDataParallel(network), entries, options)
    if dist.get_rank() == 0:
        save_file(network.state_dict(), options.save)
        print(f"saved {options.save}")
    dist.barrier()    # none leaves while another still needs it
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
