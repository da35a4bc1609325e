"""Converts GRU weights of other programs to safetensors files that the library loads (gru_stack_load).

The command is gru-convert, or python -m libgru.convert. From Python:

    from libgru.convert.convert import Options, convert
    output = convert(Path("model.keras"), Options())
"""
