#!/usr/bin/env python3
"""A PyTorch model whose torch.nn.GRU is swapped for libgru's: the same parameters, compiled and trained.

Needs torch and libgru (pip install './python[torch]').
"""
import torch

import libgru.torch


class Tagger(torch.nn.Module):
    """Says of each letter whether the same letter was seen before in its row."""

    def __init__(self, letters: int, hidden: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(letters, hidden)
        self.gru = torch.nn.GRU(hidden, hidden, num_layers=2, batch_first=True)
        self.output = torch.nn.Linear(hidden, 1)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        return self.output(self.gru(self.embedding(text))[0])[:, :, 0]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    text = torch.randint(12, (32, 10))
    same = text[:, :, None] == text[:, None, :]
    return text, same.tril(-1).any(2).float()


torch.manual_seed(0)
model = Tagger(12, 48)
text, _ = batch()
before = model(text)
model = libgru.torch.replace(model)                          # the one line
print("largest difference to torch.nn.GRU:", float((model(text) - before).detach().abs().max()))

optimiser = torch.optim.Adam(model.parameters(), 0.01)
for step in range(200):
    text, seen = batch()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(text), seen)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"loss after 200 steps: {loss.item():.3f}")
assert loss.item() < 0.3

model.eval()
with torch.no_grad():
    hidden = model.gru(model.embedding(text))[0]    # [32, 10, 48]
    assert torch.equal(model.gru(model.embedding(text[:1]))[0], hidden[:1]), "a row depends on its batch"
print("a row of the GRU has the same bits alone and in a batch of 32")
