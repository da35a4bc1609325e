#!/usr/bin/env bash
# Prints, as Markdown, how often this repository's model is wrong about the words it never saw, beside g2p-en on the same words
# and beside published figures. Needs Debian's festlex-cmu; g2p-en where fetch_model.py has brought it.
# usage: apps/g2p/train/make_report.sh [BUILD] >apps/g2p/model/report.md      BUILD: a build folder (default: build)
set -euo pipefail
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/../../.."
own=apps/g2p/model/g2p.safetensors
other=build/g2p/g2p-en.safetensors

rows() { # MODEL NAME: greedy and by beam search
    local beam
    for beam in 1 5; do
        "$build/apps/g2p/train/g2p_evaluate" --beam "$beam" "$1" | sed -n "3s:^| $1 |:| $2 |:p"
    done
}

cat <<'END'
# Error rates on held-out words

Every spelling of the dictionary (festlex-cmu, CMUdict 0.4) belongs to one of three parts by its hash: 93 of 100 train, 2 are
watched while training goes on, 5 are held out. A word is right if the answer is one of its pronunciations; wrong phonemes
are the insertions, deletions and substitutions to the nearest of them, per phoneme of it. With stress: a vowel with another
stress is wrong; this dictionary does not tell secondary stress from primary, so for both models they count as one.
Beam 1 is greedy.

| model | beam | words | phonemes wrong, % | words wrong, % | phonemes, with stress | words, with stress |
|---|--:|--:|--:|--:|--:|--:|
END
rows "$own" "this one"
if [ -f "$other" ]; then rows "$other" "g2p-en 2.1.0"; fi
cat <<'END'

g2p-en 2.1.0 is a GRU encoder and decoder of 256 units, trained by its authors on a CMUdict of their own choice. Which words it
was trained on is not told; most of those held out here were probably among them. So its rows do not measure how it would do
with new words; and where a later CMUdict has another pronunciation than version 0.4, it is counted as wrong here.

Published, on CMUdict 0.7 (the split of Chen 2003: about 107,000 words to train on, 12,000 to test; no stress; a word
with several pronunciations is right if any matches):

| model | phonemes wrong, % | words wrong, % |
|---|--:|--:|
| Rao et al. 2015, one LSTM that first reads the whole word | 9.1 | 30.1 |
| Yao and Zweig 2015, encoder-decoder LSTM, two layers, no attention | 7.6 | 28.6 |
| Rao et al. 2015, deep bidirectional LSTM with CTC, 512 units | | 25.8 |
| Yao and Zweig 2015, bidirectional LSTM, three layers, on aligned letters | 5.5 | 23.6 |
| Toshniwal and Livescu 2016, encoder-decoder with global attention | 5.0 | 21.7 |

- K. Rao, F. Peng, H. Sak, F. Beaufays: Grapheme-to-phoneme conversion using long short-term memory recurrent neural networks.
  ICASSP 2015.
- K. Yao, G. Zweig: Sequence-to-sequence neural net models for grapheme-to-phoneme conversion. Interspeech 2015,
  arXiv:1506.00196.
- S. Toshniwal, K. Livescu: Jointly learning to align and convert graphemes to phonemes with neural attention models. SLT 2016,
  arXiv:1610.06540.

What differs: the dictionary (0.4, as Festival keeps it, instead of 0.7), the split, the cell (GRU instead of LSTM), the size (here
one layer each, 1.4 million numbers) and the time (here half an hour on two cores at most). So the tables do not compare like
with like: they show where a plain encoder-decoder is to be found.
END
