"""The command gru-convert."""
from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libgru.convert.convert import Options
    from libgru.convert.output import Output

DESCRIPTION = """Converts GRU weights of other programs to a safetensors file that gru_stack_load understands.

Reads .npz, PyTorch's .pt and .pth, .safetensors, Keras' .h5 and .keras (needs h5py), and .onnx (needs onnx). A GRU
becomes PREFIXweight_ih_l0 and so on, gates r, z, n, with its variant as metadata; every other tensor passes through.
What cannot be converted exactly is refused; --int8 alone rounds.

exit status: 0 all was written; 1 refused (nothing was written), a tensor was left out, or --verify found a difference
or could not run; 2 wrong arguments."""


def _pair(text: str) -> tuple[str, str]:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text} has no =")
    old, new = text.split("=", 1)
    return old, new


def _size(text: str) -> int:
    """1000, 64M, 2G."""
    units = {"K": 10, "M": 20, "G": 30, "T": 40}
    unit = text[-1:].upper()
    digits = text[:-1] if unit in units else text
    if not digits.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no size: expected bytes, or a number with K, M, G or T")
    return int(digits) << units.get(unit, 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gru-convert", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--map", action="append", type=_pair, default=[], metavar="OLD=NEW", help="rename a tensor")
    parser.add_argument("--set", action="append", type=_pair, default=[], metavar="KEY=VALUE",
                        help="add metadata, such as PREFIXgru.reset=before")
    parser.add_argument("--gru-only", action="store_true", help="write the GRUs alone; what is left out is then no fault")
    parser.add_argument("--drop", action="append", default=[], metavar="PATTERN",
                        help="leave out tensors whose names in the output match, such as 'optimizer*'; no fault either")
    parser.add_argument("--initial-state", action="append", type=_pair, default=[], metavar="TENSOR=PREFIX",
                        help="the tensor holds the learned initial states of the GRU with this prefix, as PyTorch takes h0: "
                             "[layers and directions][H], or with a batch of 1 between")
    parser.add_argument("--limit", type=_size, metavar="BYTES",
                        help="what the input may expand to; default: 64M or 20 times the file, whichever is more")
    parser.add_argument("--reversed-outputs", action="store_true",
                        help="accept Keras layers whose go_backwards returns outputs in reversed order of time: the "
                             "library returns them in the order of time")
    parser.add_argument("--int8", action="store_true",
                        help="round the GRUs' weights to int8 with a scale for each row, for layers of any weight_type; says "
                             "for each tensor what that loses")
    parser.add_argument("--report", nargs="?", const="text", choices=("text", "json"), help="say what went where")
    parser.add_argument("--verify", action="store_true",
                        help="run the input in its own framework and the output beside it, on random input, and print "
                             "the largest difference; the framework's own loader reads the input: only for files that "
                             "you trust")
    return parser


def _same_file(left: Path, right: Path) -> bool:
    both = left.exists() and right.exists()
    return os.path.realpath(left) == os.path.realpath(right) or both and os.path.samefile(left, right)


def _line(text: str) -> str:
    """One line of a terminal, whatever an input's names contain."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _complain(text: str) -> None:
    print(_line(text), file=sys.stderr)


def _print_left_out(output: Output) -> None:
    for name, reason in output.left_out.items():
        _complain(f"left out: {name}: {reason}")


def _convert(arguments: argparse.Namespace, options: Options) -> int:
    from libgru.convert import report, safetensors
    from libgru.convert.convert import convert
    from libgru.convert.refused import Refused
    if _same_file(arguments.input, arguments.output):
        raise Refused(f"{arguments.output} is the input: the output needs another name")
    output = convert(arguments.input, options)
    safetensors.write(arguments.output, output.tensors, output.metadata)
    if arguments.report:
        print(report.as_json(output) if arguments.report == "json" else
              "\n".join(map(_line, report.as_text(output))))
    else:
        for name, loss in output.losses.items():
            print(_line(f"{name}: {loss}"))
        for gru in output.grus:
            for note in gru.notes:
                _complain(f"note: {gru.origin or gru.prefix}: {note}")
    _print_left_out(output)
    if arguments.verify:
        from libgru.convert.verify import verify
        if not verify(arguments.input, arguments.output, output):
            return 1
    return 1 if output.left_out else 0


def main(words: list[str] | None = None) -> int:
    """Returns the exit status; every failure is one sentence."""
    parser = _parser()
    arguments = parser.parse_args(words)
    if arguments.int8 and arguments.verify:
        parser.error("--verify compares exact conversions, which --int8 does not make")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")    # a terminal may lack the letters of a name
    try:
        from libgru.convert.convert import Options
        from libgru.convert.refused import Refused
    except ImportError as error:
        print(f"gru-convert: the package numpy is missing: pip install numpy ({error})", file=sys.stderr)
        return 1
    options = Options(limit=arguments.limit, rename=dict(arguments.map), metadata=dict(arguments.set),
                      gru_only=arguments.gru_only, drop=arguments.drop, reversed_outputs=arguments.reversed_outputs,
                      int8=arguments.int8,
                      states={prefix: name for name, prefix in arguments.initial_state})
    try:
        status = _convert(arguments, options)
        sys.stdout.flush()    # a closed pipe fails here, not at exit
        return status
    except Refused as refusal:
        _complain(f"gru-convert: {refusal}")
    except BrokenPipeError:    # nobody reads the report to its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130
    except OSError as error:
        _complain(f"gru-convert: {arguments.output}: {error.strerror or error}")    # the input's are Refused
    except KeyboardInterrupt:
        return 130
    except Exception as error:    # parsers raise all kinds, and so would a fault of this program
        _complain(f"gru-convert: {arguments.input}: it is damaged, or gru-convert has a fault: {type(error).__name__}: {error}")
    return 1
