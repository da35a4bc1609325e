#!/usr/bin/env python3
"""Trains small networks with g2p_train, kills it, starves it, misleads it, and looks at what is left.

    check_train.py PROGRAM resume      killed again and again, with other threads: the same model to the bit
    check_train.py PROGRAM trouble     a loss that is no number, a full disk, wrong options, folders and dictionaries
    check_train.py PROGRAM backend NAME
                                       what --engine NAME learns is what the CPU learns
    check_train.py PROGRAM accuracy PHONEMES OPTION...
                                       at most so many percent of the watched words' phonemes are wrong in the end

Exit status: 0 passed, 1 not, 77 there is no dictionary (Debian's festlex-cmu).
"""
import json
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time

DICTIONARY = pathlib.Path("/usr/share/festival/dicts/cmu/cmudict-0.4.out")
SMALL = ["--words", "1500", "--epochs", "3", "--hidden", "16", "--embedding", "16", "--batch", "64"]
PATIENCE = 300  # seconds for what takes some, so that a program that hangs is found


def command(program, folder, *options):
    return [program, "--folder", str(folder), *SMALL, *map(str, options)]


def train(program, folder, *options, **more):
    return subprocess.run(command(program, folder, *options), stderr=subprocess.PIPE, text=True, timeout=PATIENCE, **more)


def expect(right, what, done=None):
    if not right:
        sys.exit(f"error: {what}" + (f"\nstatus {done.returncode}, said:\n{done.stderr}" if done else ""))


def read_checkpoint(folder):
    """(notes, numbers) of a checkpoint that must be whole; None if there is none yet."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return None
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    end = max(t["data_offsets"][1] for name, t in header.items() if name != "__metadata__")
    expect(len(data) == 8 + length + end, f"the checkpoint has {len(data)} bytes, expected {8 + length + end}")
    return header["__metadata__"], data[8 + length:]


def step_of(folder):
    found = read_checkpoint(folder)
    return int(found[0]["g2p.step"]) if found else 0


def stop(program, folder, step, number, *options):
    """Trains until the checkpoint is of that step, then sends the signal. A training that was at its end before this process
    got a processor to look is put back to where it began, and tried again."""
    checkpoint = folder / "checkpoint.safetensors"
    before = checkpoint.read_bytes() if checkpoint.exists() else None
    for _ in range(50):
        process = subprocess.Popen(command(program, folder, "--save-seconds", 0, *options), stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + PATIENCE
        while process.poll() is None and step_of(folder) < step:
            expect(time.monotonic() < end, "the program hangs")
            time.sleep(0.002)
        process.send_signal(number)
        said = process.communicate()[1]
        if process.returncode == -signal.SIGKILL or "stopped at step" in said:
            return process.returncode
        # that the signal came before the program could say what to do then is as early as the end is late
        expect(process.returncode in (0, -signal.SIGTERM), f"training ended with status {process.returncode}, said:\n{said}")
        checkpoint.unlink()
        if before:
            checkpoint.write_bytes(before)
    sys.exit(f"error: 50 trainings ended before they were stopped, the last with status {process.returncode}")


def check_resume(program, root):
    whole, cut = root / "whole", root / "cut"
    whole.mkdir(), cut.mkdir()
    done = train(program, whole, "--threads", 1)
    expect(done.returncode == 0, "training", done)
    steps, signals = step_of(whole), [signal.SIGKILL] * 8 + [signal.SIGTERM] * 2
    for i, number in enumerate(signals):
        status = stop(program, cut, min(step_of(cut) + 1 + i, steps - 2), number, "--threads", 2)
        expect(number == signal.SIGKILL or status == 0, f"SIGTERM gave status {status}")
    before = step_of(cut)
    done = train(program, cut, "--threads", 2)
    expect(done.returncode == 0 and f"going on at step {before} of {steps}" in done.stderr, "going on", done)
    for name in "model.safetensors", "curve.svg":
        expect((whole / name).read_bytes() == (cut / name).read_bytes(), f"{name} has other bytes")
    (notes, numbers), (other_notes, others) = read_checkpoint(whole), read_checkpoint(cut)
    notes.pop("g2p.seconds"), other_notes.pop("g2p.seconds")
    expect(numbers == others and notes == other_notes, "the checkpoint has other numbers")
    print(f"stopped {len(signals)} times on the way to step {steps}: the bits of an uninterrupted training, on 1 thread and 2")


def limit_files(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def check_trouble(program, root):
    folder = root / "trouble"
    folder.mkdir()
    checkpoint = folder / "checkpoint.safetensors"

    done = train(program, folder, "--rate", "1e60", "--save-seconds", 0)
    expect(done.returncode == 1 and "try a smaller --rate. The last checkpoint is as it was" in done.stderr, "no number", done)
    expect(step_of(folder) > 0, "nothing was saved before the loss was no number")
    done = train(program, folder)
    expect(done.returncode == 1 and "was made with other options" in done.stderr, "another rate", done)
    checkpoint.unlink()

    stop(program, folder, 5, signal.SIGKILL)
    saved = checkpoint.read_bytes()
    for size in 0, 4096, len(saved) - 1:
        done = train(program, folder, "--save-seconds", 0, preexec_fn=limit_files(size))
        expect(done.returncode == 1 and "checkpoint.safetensors could not be written: File too large" in done.stderr,
               f"files of at most {size} bytes", done)
        expect(checkpoint.read_bytes() == saved, "the checkpoint did not stay whole")
        expect(not list(folder.glob("*.part")), "a part of a file is left")

    for size in 0, 1, 8, 100, len(saved) // 2, len(saved) - 1:
        checkpoint.write_bytes(saved[:size])
        done = train(program, folder)
        expect(done.returncode == 1 and re.search(r"checkpoint\.safetensors: .*; remove it to train from the beginning",
                                                  done.stderr), f"a checkpoint cut at {size}", done)
        expect(checkpoint.stat().st_size == size, "a bad checkpoint was touched")

    no_dictionary = root / "no dictionary"
    no_dictionary.write_text("MNCL\n(\"a\" dt (((ax) 0)))\n(\"b\" nil (((b iy\n")
    for options, sentence in (
            (["--dictionary", root / "nowhere"], "nowhere: No such file or directory (Debian's package festlex-cmu"),
            (["--dictionary", no_dictionary], "no dictionary:3: expected the name of a sound, or"),
            (["--dictionary", root], "Is a directory"),
            (["--folder", root / "nowhere"], "could not be written: No such file or directory"),
            (["--hidden", "17"], "--hidden is 17, expected a multiple of 16"),
            (["--dropout", "1"], '--dropout is "1", expected a number from 0 to below 1'),
            (["--engine", "abacus"], "abacus"),
            (["now"], '"now" is no option')):
        checkpoint.unlink(missing_ok=True)
        done = train(program, folder, *options)
        expect(done.returncode in (1, 2) and sentence in done.stderr, f"{options}: no \"{sentence}\"", done)
        expect(not checkpoint.exists(), f"{options}: left a checkpoint")
    print("each trouble has its sentence, and checkpoints stay whole")


def part_of_dictionary(root, each):
    """A dictionary that keeps one entry of so many: each start of the program reads its dictionary whole."""
    lines = DICTIONARY.read_text().splitlines(keepends=True)
    dictionary = root / f"one entry of {each}"
    dictionary.write_text("".join(lines[:1] + lines[1::each]))
    return str(dictionary)


def check_backend(program, root, name):
    dictionary = part_of_dictionary(root, 800)
    losses = []
    for engine in name, "cpu":
        folder = root / engine
        folder.mkdir()
        done = train(program, folder, "--dictionary", dictionary, "--words", 0, "--epochs", 2, "--engine", engine)
        expect(done.returncode == 0 and f"engine {engine}" in done.stderr, f"training on {engine}", done)
        losses.append([float(loss) for loss in re.findall(r"^epoch \d+: loss ([0-9.]+)", done.stderr, re.MULTILINE)])
    expect(len(losses[0]) == 2 and all(abs(a - b) <= 2e-4 for a, b in zip(*losses)), f"the losses are {losses}")
    print(f"losses of two epochs on {name} and on the CPU: {losses}")


def check_accuracy(program, root, most, options):
    done = subprocess.run([program, "--folder", str(root), *options], stderr=subprocess.PIPE, text=True)
    expect(done.returncode == 0, "training", done)
    print(done.stderr)
    found = re.findall(r"watched words: ([0-9.]+) % of the phonemes wrong", done.stderr)[-1]
    expect(float(found) <= float(most), f"{found} % of the phonemes are wrong, expected at most {most} %")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if not DICTIONARY.exists():
        print(f"skipped: no {DICTIONARY}: install festlex-cmu")
        sys.exit(77)
    program, what = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="g2p-train-") as root:
        SMALL.extend(["--dictionary", part_of_dictionary(pathlib.Path(root), 20)])
        if what == "resume":
            check_resume(program, pathlib.Path(root))
        elif what == "trouble":
            check_trouble(program, pathlib.Path(root))
        elif what == "backend" and len(sys.argv) == 4:
            check_backend(program, pathlib.Path(root), sys.argv[3])
        elif what == "accuracy" and len(sys.argv) > 3:
            check_accuracy(program, pathlib.Path(root), sys.argv[3], sys.argv[4:])
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
