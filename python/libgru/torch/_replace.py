"""Swaps the torch.nn.GRU modules of a model."""
from __future__ import annotations

import warnings
from typing import TypeVar

import torch

from libgru.torch._module import GRU

M = TypeVar("M", bound=torch.nn.Module)

# What a module keeps beside its constructor's values and parameters: hooks by name of nn.Module's own dictionaries.
_HOOKS = ("_backward_pre_hooks", "_backward_hooks", "_is_full_backward_hook", "_forward_hooks", "_forward_hooks_with_kwargs",
          "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
          "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")


def _converted(old: torch.nn.GRU, inference_weights: str | None) -> GRU:
    """A GRU that has the very parameters of the old one."""
    new = GRU(old.input_size, old.hidden_size, old.num_layers, old.bias, old.batch_first, old.dropout, old.bidirectional,
              device="meta", inference_weights=inference_weights)
    for name, parameter in old.named_parameters(recurse=False):
        setattr(new, name, parameter)
    for name in _HOOKS:
        if name in old.__dict__:
            new.__dict__[name] = old.__dict__[name]
    new.training = old.training
    return new


def replace(model: M, *, inference_weights: str | None = None) -> M:
    """Swaps every torch.nn.GRU in a model for a libgru.torch.GRU that shares its parameters, hooks and mode, and returns the
    model, or the new module if the model is a GRU itself. Optimisers and state dicts stay valid. Warns of modules that derive
    from nn.GRU, such as parametrized ones, which stay as they are. inference_weights: as in GRU."""
    done: dict[int, GRU] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if type(module) is torch.nn.GRU:
            new = done.get(id(module)) or _converted(module, inference_weights)
            done[id(module)] = new
            if not name:
                return new
            parent, _, child = name.rpartition(".")
            model.get_submodule(parent)._modules[child] = new
        elif isinstance(module, torch.nn.GRU):
            warnings.warn(f"{name or 'the model'} is a {type(module).__name__}, which derives from nn.GRU and stays as it is",
                          stacklevel=2)
    return model
