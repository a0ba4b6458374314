// The other figure of tutorial 02a: attention's tensors, forwards and backwards.
#pragma once

#include <utility>

#include "skipv1/plot/diagram.hpp"

/// Above what the forward pass computes, from left to right; below the gradients, from right to left, each under its tensor.
inline skipv1::plot::Drawing backward_picture() {
  using namespace skipv1::plot;
  Diagram d(860, 420, "Attention forwards and backwards: each gradient under its tensor");
  const double q = 30, s = 220, p = 430, o = 640, width = 150, height = 34;
  const auto box = [&](double left, double top, const char* text, Colour paper) {
    d.box({left, top, left + width, top + height}, text, paper);
  };
  box(q, 62, "Q", query_colour);
  box(q, 112, "K", key_colour);
  box(s, 87, "S = α Q Kᵀ", plain_colour);
  box(p, 87, "P = softmax of S", plain_colour);
  box(p, 147, "V", value_colour);
  box(o, 87, "O = P V", plain_colour);
  d.arrow({q + width + 2, 79}, {s - 2, 98});
  d.arrow({q + width + 2, 129}, {s - 2, 110});
  d.arrow({s + width + 2, 104}, {p - 2, 104});
  d.arrow({p + width + 2, 104}, {o - 2, 104});
  d.arrow({p + width + 2, 160}, {o - 2, 114});
  d.label({o + width / 2, 56}, "to the loss");
  d.drawing().line({20, 208}, {840, 208}, 1.2, grey);
  box(o, 272, "dO, given", first_colour);
  box(p, 272, "dP = dO Vᵀ", plain_colour);
  box(p, 332, "dV = Pᵀ dO", value_colour);
  box(s, 272, "dS = P ∘ (dP - δ)", plain_colour);
  box(q, 247, "dQ = α dS K", query_colour);
  box(q, 297, "dK = α dSᵀ Q", key_colour);
  d.arrow({o - 2, 284}, {p + width + 2, 284}, first_colour);
  d.arrow({o - 2, 298}, {p + width + 2, 343}, first_colour);
  d.arrow({p - 2, 289}, {s + width + 2, 289}, first_colour);
  d.arrow({s - 2, 283}, {q + width + 2, 266}, first_colour);
  d.arrow({s - 2, 295}, {q + width + 2, 312}, first_colour);
  d.label({o + width / 2, 240}, "from the loss");
  d.label({s + width / 2, 332}, "δ = dO · O, one per row");
  d.lines({20, 384}, {"Kept by the forward pass: Q, K, V, O and one number per row, lse, from which P is computed again."});
  return std::move(d.drawing());
}
