// Mistakes that implementers make, computed on the spot for any case.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "skipv1/conformance/case.hpp"

namespace skipv1::conformance {

/// What is wrong with an implementation that computes `logits` (B, T, V) for `c`: the known mistakes that give them within
/// `bound`, and not the case's own; of several the nearest. A mistake is another routing table, other constants, other weights
/// or other rules of the pass, computed on the spot, so that it exists wherever it makes a difference.
std::vector<std::string> recognise_mistakes(const Case& c, View<const double> logits, double bound);

/// Of every known mistake whose words are `wanted`, and that changes the logits of `c`, by its words the error of its logits.
std::map<std::string, double> effects_of_mistakes(const Case& c, const std::function<bool(const std::string& words)>& wanted);

/// The same as `recognise_mistakes` of the logits (N, V) of a decoding's steps, by their numbers: what a decoder does with its
/// cache, mask and positions that gives all of them.
std::vector<std::string> recognise_decoding(const Case& c, const std::map<std::size_t, Tensor<double>>& logits, double bound);

/// The same of a loss whose logits are right, and of one of the counts of expected.json.
std::vector<std::string> recognise_loss(const Case& c, double loss, double bound);
std::vector<std::string> recognise_count(const Case& c, const std::string& name, std::size_t count);

}  // namespace skipv1::conformance
