#!/usr/bin/env python3
"""Fetches the pronunciation model of the PyPI package g2p-en 2.1.0 and writes it as safetensors.

    fetch_model.py [FOLDER]      writes FOLDER/g2p-en.safetensors; FOLDER: build/g2p of this repository

Needs pip and nothing else. The package (Apache-2.0, by Kyubyong Park and Jongseok Kim) is kept in FOLDER,
unpacked, so that a second call needs no network and check_oracle.py finds the package's own code.
"""
import ast
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import zipfile

PACKAGE = "g2p-en==2.1.0"
WHEEL = "g2p_en-2.1.0-py3-none-any.whl"
SHA256 = "2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f"
DEFAULT_FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build" / "g2p"

# Names in the checkpoint -> the names that torch.nn.GRU gives its weights.
GRU_NAMES = {
    f"{short}_{array}": f"{module}.{name}_l0"
    for short, module in (("enc", "encoder"), ("dec", "decoder"))
    for array, name in zip(("w_ih", "w_hh", "b_ih", "b_hh"), ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
}
PLAIN_NAMES = {name: name for name in ("enc_emb", "dec_emb", "fc_w", "fc_b")}


def download(folder):
    """The wheel, from the folder or from PyPI."""
    wheel = folder / WHEEL
    if not wheel.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                   "--no-deps", "--dest", str(folder), PACKAGE]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            sys.exit(f"error: pip could not download {PACKAGE}: is the network reachable?")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"error: {wheel} has SHA-256 {found}, expected {SHA256}: remove it and try again")
    return wheel


def read_npy(data):
    """Shape and little-endian float32 bytes of one .npy file (format 1.0 of numpy.lib.format)."""
    if data[:8] != b"\x93NUMPY\x01\x00":
        sys.exit("error: an array of the checkpoint is no .npy file of format 1.0")
    end = 10 + struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:end].decode("latin-1"))
    if header["descr"] != "<f4" or header["fortran_order"]:
        sys.exit(f"error: an array of the checkpoint is {header}, expected float32 in C order")
    return header["shape"], data[end:]


def write_safetensors(path, arrays):
    """arrays: name -> (shape, bytes). Written beside path and renamed: a failure leaves nothing half done."""
    header, offset = {}, 0
    for name, (shape, data) in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    fresh = path.with_suffix(".part")
    with open(fresh, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, data in arrays.values():
            file.write(data)
    fresh.replace(path)


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) == 2 else DEFAULT_FOLDER
    model = folder / "g2p-en.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(download(folder)) as wheel:
        wheel.extractall(folder)
    with zipfile.ZipFile(folder / "g2p_en" / "checkpoint20.npz") as checkpoint:
        names = {**GRU_NAMES, **PLAIN_NAMES}
        write_safetensors(model, {names[old]: read_npy(checkpoint.read(old + ".npy")) for old in names})
    print(model)


if __name__ == "__main__":
    main()
