"""Converts an .npz file with the converter script and loads the result with the library. check_convert.py LIBRARY

Ends with 77, a skipped test, where numpy is missing or the library was built without files.
"""
import ctypes
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("numpy is missing (Debian: python3-numpy)")
    sys.exit(77)

NOT_BUILT, H, I = 4, 3, 2
CONVERTER = pathlib.Path(__file__).resolve().parent.parent / "python" / "gru_convert.py"


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("type", ctypes.c_int32),
                ("rank", ctypes.c_int32), ("shape", ctypes.c_int64 * 8)]


def open_file(library, path):
    file = ctypes.c_void_p()
    status = library.gru_file_open(str(path).encode(), ctypes.byref(file))
    sentence = library.gru_last_error().decode()
    if status == NOT_BUILT:
        print(sentence)
        sys.exit(77)
    assert status == 0, sentence
    return file


def check_tensor(library, file, name, expected):
    tensor = Tensor()
    status = library.gru_file_tensor(file, name.encode(), ctypes.byref(tensor))
    assert status == 0, library.gru_last_error().decode()
    assert tuple(tensor.shape[:tensor.rank]) == expected.shape, name
    assert ctypes.string_at(tensor.data, tensor.bytes) == expected.tobytes(), f"{name} has other numbers"


def check_stack(library, file):
    context, stack = ctypes.c_void_p(), ctypes.c_void_p()
    assert library.gru_context_create(None, ctypes.byref(context)) == 0, library.gru_last_error().decode()
    status = library.gru_stack_load(context, file, None, ctypes.byref(stack))
    assert status == 0, library.gru_last_error().decode()
    assert library.gru_stack_sublayers(stack) == 1 and library.gru_stack_inputs(stack) == I
    assert library.gru_stack_outputs(stack) == H
    library.gru_stack_release(stack)
    library.gru_context_release(context)


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.gru_last_error.restype = library.gru_file_metadata.restype = ctypes.c_char_p
    random = np.random.default_rng(1)
    shapes = {"enc_w_ih": (3 * H, I), "enc_w_hh": (3 * H, H), "enc_b_ih": (3 * H,), "enc_b_hh": (3 * H,),
              "table": (5, 4), "lstm_w_ih": (4 * H, I), "lstm_w_hh": (4 * H, H)}
    arrays = {name: random.standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    names = {"enc_w_ih": "enc.weight_ih_l0", "enc_w_hh": "enc.weight_hh_l0", "enc_b_ih": "enc.bias_ih_l0",
             "enc_b_hh": "enc.bias_hh_l0", "table": "embedding"}
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder) / "model.npz", pathlib.Path(folder) / "model.safetensors"
        np.savez(source, **arrays)
        subprocess.run([sys.executable, CONVERTER, source, target, "--map", "table=embedding",
                        "--set", "enc.gru.reset=before"], check=True)
        file = open_file(library, target)
        for name, array in arrays.items():
            check_tensor(library, file, names.get(name, name), array)
        assert library.gru_file_metadata(file, b"enc.gru.reset") == b"before"
        check_stack(library, file)
        library.gru_file_close(file)
    print(f"{len(arrays)} tensors and one stack passed")


main()
