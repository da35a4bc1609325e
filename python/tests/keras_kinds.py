"""Keras models of many kinds, each as small as it can be. Every function takes the package, keras or tf_keras."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

I, T = 3, 5
Kind = Callable[[Any], Any]
KINDS: dict[str, Kind] = {}       # must convert
REFUSED: dict[str, tuple[Kind, str]] = {}    # must be refused, with a sentence that has these words


def _add(name: str, *layers: Callable[[Any], Any], shape: tuple[int, ...] = (T, I), refused: str = "") -> None:
    """A sequential model; each layer is made when the model is, so that names are the process' next ones."""
    def make(keras: Any) -> Any:
        return keras.Sequential([keras.Input(shape), *(layer(keras.layers) for layer in layers)])
    if refused:
        REFUSED[name] = make, refused
    else:
        KINDS[name] = make


def _gru(units: int = 4, **settings: Any) -> Callable[[Any], Any]:
    return lambda layers: layers.GRU(units, **settings)


def _both(first: Any, second: Any = None, **settings: Any) -> Callable[[Any], Any]:
    def make(layers: Any) -> Any:
        own = {} if second is None else {"backward_layer": second(layers)}
        return layers.Bidirectional(first(layers), **own, **settings)
    return make


def _dense(**settings: Any) -> Callable[[Any], Any]:
    return lambda layers: layers.Dense(2, **settings)


BACK = {"go_backwards": True}
_add("plain", _gru(), _dense())
_add("two_layers", _gru(return_sequences=True), _gru(), _dense(), _dense())
_add("before", _gru(reset_after=False))
_add("no_bias", _gru(use_bias=False))
_add("hard_sigmoid", _gru(recurrent_activation="hard_sigmoid"))
_add("relu", _gru(activation="relu"))
_add("linear", _gru(activation="linear", return_sequences=True))
_add("before_hard_no_bias", _gru(reset_after=False, recurrent_activation="hard_sigmoid", use_bias=False))
_add("backwards", _gru(**BACK))
_add("both", _both(_gru(return_sequences=True)))
_add("both_twice", _both(_gru(return_sequences=True)), _both(_gru(2)))
_add("both_sum", _both(_gru(), merge_mode="sum"))
_add("both_ave", _both(_gru(), merge_mode="ave"))
_add("both_mul", _both(_gru(return_sequences=True), merge_mode="mul"), _gru())
_add("both_before", _both(_gru(reset_after=False)))
_add("own_backward_relu", _both(_gru(), _gru(activation="relu", **BACK)))
_add("own_backward_small", _both(_gru(), _gru(2, recurrent_activation="hard_sigmoid", **BACK)))
_add("own_backward_before", _both(_gru(), _gru(reset_after=False, use_bias=False, **BACK)))
_add("cell", lambda layers: layers.RNN(layers.GRUCell(4)))
_add("cells", lambda layers: layers.RNN([layers.GRUCell(4), layers.GRUCell(3, reset_after=False)]), _dense())
_add("both_cell", lambda layers: layers.Bidirectional(layers.RNN(layers.GRUCell(4))))
_add("over_time", lambda layers: layers.TimeDistributed(layers.GRU(4)), shape=(2, T, I))
_add("like_gru", _gru(), _dense(name="gru_out"), _dense(name="congruence"))
_add("others", lambda layers: layers.TimeDistributed(layers.Dense(2)), lambda layers: layers.LSTM(3, return_sequences=True),
     _gru(), lambda layers: layers.BatchNormalization())

_add("elu", _gru(activation="elu"))
_add("selu_silu", _gru(activation="selu", recurrent_activation="swish"))
_add("gelu_tanh_gate", _gru(activation="gelu", recurrent_activation="tanh"))
_add("softplus_softsign", _gru(activation="softplus", recurrent_activation="softsign"))
_add("exponential_hard", _gru(activation="hard_sigmoid", recurrent_activation="exponential"))
_add("relu_gate", _gru(activation="sigmoid", recurrent_activation="relu", reset_after=False))
_add("softmax", _gru(activation="softmax"), refused="activation is softmax")
_add("backwards_sequence", _gru(return_sequences=True, **BACK), refused="reversed order of time")
_add("both_backwards", _both(_gru(**BACK), _gru()), refused="go_backwards is True in its first direction")
_add("mixed_cells", lambda layers: layers.RNN([layers.GRUCell(4), layers.LSTMCell(3)]), refused="LSTMCell")
_add("none", _dense(), refused="has no GRU")


def _nested(keras: Any) -> Any:
    """Two models within a model, whose layers have the same names."""
    def inner(name: str, inputs: int, sequences: bool) -> Any:
        return keras.Sequential([keras.Input((T, inputs)), keras.layers.GRU(4, name="gru", return_sequences=sequences)],
                                name=name)
    return keras.Sequential([keras.Input((T, I)), inner("first", I, True), inner("second", 4, False),
                             keras.layers.Dense(2)])


def _shared(keras: Any) -> Any:
    """One layer with two inputs, among layers whose names sort otherwise."""
    left, right = keras.Input((T, I)), keras.Input((T, I))
    gru = keras.layers.GRU(4, name="z_shared")
    other = keras.layers.GRU(4, name="a_other")(left)
    return keras.Model([left, right], keras.layers.Concatenate()([gru(left), gru(right), other]))


def _separate(keras: Any) -> Any:
    """Two outputs, which only a functional model may have in every version."""
    x = keras.Input((T, I))
    return keras.Model(x, keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True), merge_mode=None)(x))


KINDS["nested"], KINDS["shared"], KINDS["both_separate"] = _nested, _shared, _separate
