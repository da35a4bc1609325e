#!/usr/bin/env python3
"""Compares the g2p program, on every engine that this host can run, with the package's own code.

    check_oracle.py PROGRAM FOLDER [COUNT]

COUNT words (5000) of a dictionary are compared. FOLDER is the one that fetch_model.py filled; the package's
answers are kept there, since its code takes a while. Needs numpy and Debian's wamerican. Exit status: 0 the
same, 1 not, 77 something needed is missing (nothing compared).
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import types

DICTIONARY = pathlib.Path("/usr/share/dict/american-english")

# Two programs in float32 may part where the package's two best scores lie closer than this. Over the words
# compared, the package's scores lie within 1.7e-5 of the same code in float64 (the largest are near 30). The
# gap between two scores can be off by twice that in each of the two programs: 4 * 1.7e-5, rounded up.
BOUND = 1e-4


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def sample_words(count):
    """count words of a ... z, chosen by their hash: the same wherever the dictionary is."""
    if not DICTIONARY.exists():
        skip(f"no {DICTIONARY}: install wamerican")
    lines = DICTIONARY.read_text(encoding="utf-8").splitlines()
    words = {word for word in lines if word.isascii() and word.isalpha() and word.islower()}
    return sorted(words, key=lambda word: hashlib.sha256(word.encode()).digest())[:count]


def load_oracle(folder):
    """The package's G2p, with the modules that predict does not use replaced by empty ones."""
    def module(name, **members):
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(members)
        return sys.modules[name]

    data = module("nltk.data", find=lambda path: path)  # found: nothing to download
    corpus = module("nltk.corpus", cmudict=types.SimpleNamespace(dict=dict))
    tokenizer = types.SimpleNamespace(tokenize=str.split)
    module("nltk.tokenize", TweetTokenizer=lambda: tokenizer)
    module("nltk", data=data, corpus=corpus, pos_tag=None)
    module("inflect", engine=lambda: None)
    sys.path.insert(0, str(folder))
    from g2p_en.g2p import G2p
    return G2p()


def oracle_answers(oracle, words, folder):
    """[["W", "ER1", "D"], ...], from the folder if the same words were asked before."""
    key = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    kept = folder / f"oracle-{key}.txt"
    if not kept.exists():
        print(f"asking the package for {len(words)} words (once; kept in {kept.name})", flush=True)
        fresh = kept.with_suffix(".part")
        fresh.write_text("".join(" ".join(oracle.predict(word)) + "\n" for word in words))
        fresh.replace(kept)
    answers = [line.split() for line in kept.read_text().splitlines()]
    if len(answers) != len(words):
        sys.exit(f"error: {kept} has {len(answers)} lines, expected {len(words)}: remove it")
    return answers


def scores_after(oracle, word, sounds):
    """The package's scores for the sound that follows these, computed as its predict does."""
    import numpy as np
    encoder = [getattr(oracle, "enc_" + name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
    decoder = [getattr(oracle, "dec_" + name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
    h = oracle.gru(oracle.encode(word), len(word) + 1, *encoder)[:, -1, :]
    for sound in ["<s>"] + sounds:
        h = oracle.grucell(np.take(oracle.dec_emb, [oracle.p2idx[sound]], axis=0), h, *decoder)
    return (np.matmul(h, oracle.fc_w.T) + oracle.fc_b)[0]


def explain(oracle, word, expected, found):
    """(accepted, one line): whether a difference is a tie within BOUND between the two sounds in question."""
    ends = expected + ["</s>"], found + ["</s>"]
    step = next(i for i, (a, b) in enumerate(zip(*ends)) if a != b)
    scores = scores_after(oracle, word, expected[:step])
    best, second = scores.argsort()[::-1][:2]
    gap = float(scores[best] - scores[second])
    pair = {oracle.idx2p[best], oracle.idx2p[second]}
    accepted = gap < BOUND and pair == {ends[0][step], ends[1][step]}
    verdict = "a tie" if accepted else "WRONG"
    return accepted, (f"  {word}: {' '.join(found)}, expected {' '.join(expected)}: "
                      f"{verdict}, the two best scores of sound {step + 1} lie {gap:.2g} apart")


def engines_here(program):
    command = [program, "--engine", "help"]
    lines = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
    return [line.split()[0] for line in lines if line.endswith(" runs here")]


def pronounce(program, folder, engine, words):
    """The program's answers, one list of sounds per word."""
    command = [program, "--engine", engine, "--model", str(folder / "g2p-en.safetensors")]
    done = subprocess.run(command, input="\n".join(words), text=True, stdout=subprocess.PIPE)
    lines = [line.split() for line in done.stdout.splitlines()]
    if done.returncode != 0 or [line[0] for line in lines] != words:
        sys.exit(f"error: {engine}: status {done.returncode} and {len(lines)} lines that are not our words")
    return [line[1:] for line in lines]


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) == 4 else 5000
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # products of one row: threads only cost
    try:
        import numpy  # noqa: F401
    except ImportError:
        skip("this Python has no numpy")
    if not (folder / "g2p-en.safetensors").exists():
        skip("the model is not there: fetch it with python3 apps/g2p/fetch_model.py")
    words = sample_words(count)
    oracle = load_oracle(folder)
    answers = oracle_answers(oracle, words, folder)
    engines = engines_here(program)
    wrong = 0
    for engine in engines:
        found = pronounce(program, folder, engine, words)
        verdicts = [explain(oracle, *trio) for trio in zip(words, answers, found) if trio[1] != trio[2]]
        ties = sum(accepted for accepted, _ in verdicts)
        wrong += len(verdicts) - ties
        print(f"{engine}: {len(words)} words, {len(verdicts) - ties} wrong, {ties} ties", flush=True)
        for _, line in verdicts:
            print(line)
    if len(words) != count or not words or not engines:
        sys.exit(f"error: compared {len(words)} words of {count} on {len(engines)} engines")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
