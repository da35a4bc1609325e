#!/usr/bin/env python3
"""Compares the g2p program's answers with weights of fewer bits with those with f32 weights.

    check_weights.py PROGRAM COUNT

COUNT words of a dictionary. The model is stored in f16: with f16 weights every answer must be the same. With bf16 and int8
weights, which are rounded, at least 99 % must be. Needs Debian's wamerican. Exit status: 0 they are, 1 not, 77 the
dictionary is missing.
"""
import subprocess
import sys

from check_oracle import sample_words

LEAST = {"f16": 1.0, "bf16": 0.99, "int8": 0.99}    # shares of equal answers


def answers(program, weights, words):
    command = [program, "--engine", "cpu", "--weights", weights]
    done = subprocess.run(command, input="\n".join(words), text=True, stdout=subprocess.PIPE)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or [line.split()[0] for line in lines] != words:
        sys.exit(f"error: {weights}: status {done.returncode} and {len(lines)} lines that are not our words")
    return lines


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, count = sys.argv[1], int(sys.argv[2])
    words = sample_words(count)
    if len(words) != count or not words:
        sys.exit(f"error: the dictionary has {len(words)} words of {count}")
    exact = answers(program, "f32", words)
    too_few = 0
    for weights, least in LEAST.items():
        same = sum(a == b for a, b in zip(exact, answers(program, weights, words)))
        too_few += same < least * count
        print(f"{weights}: {same} of {count} words as with f32, at least {least:.0%} expected")
    sys.exit(1 if too_few else 0)


if __name__ == "__main__":
    main()
